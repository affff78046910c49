# SPDX-License-Identifier: BSD-3-Clause
unit_test(sequencer gen_judge sequencer)
unit_test(sequencer ingress sequencer)
unit_test(sequencer egress sequencer)
unit_test(sequencer egress_resume sequencer)
