# SPDX-License-Identifier: BSD-3-Clause
unit_test(txn engine txn)
