#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Simulated schedules with random faults, judged by the oracle: tests/sim/run.sh [SIM [SCHEDULES [SEED]]]. Those of the
# test run are always the same; SEED 0 takes fresh ones, and prints the first.
set -uo pipefail
cd "$(dirname "$0")/../.."
sim=${1:-build/sim} schedules=${2:-10000} seed=${3:-1}
[ "$seed" = 0 ] && seed=$(($(date +%s) * 1000))
if "$sim" --schedules "$schedules" --seed "$seed" --workers "$(nproc)"; then
	echo "1 passed, 0 failed"
else
	echo "0 passed, 1 failed"
fi
