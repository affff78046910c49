# SPDX-License-Identifier: BSD-3-Clause
unit_test(core codecs core)
unit_test(core outcome core)
unit_test(core histogram core)
unit_test(core fault_spec core)
