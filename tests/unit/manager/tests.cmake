# SPDX-License-Identifier: BSD-3-Clause
unit_test(manager failover manager)
