# SPDX-License-Identifier: BSD-3-Clause
unit_test(manager failover manager)
unit_test(manager manager_poison manager)
