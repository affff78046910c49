#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Seeded bugs of the chain, each to be caught; and those that were real once, each by the schedule that finds it out:
# tests/sim/mutants.sh [SIM [SCHEDULES]].
set -uo pipefail
cd "$(dirname "$0")/../.."
sim=${1:-build/sim} schedules=${2:-2000} passed=0 failed=0
"$sim" --mutant all --schedules "$schedules" --workers "$(nproc)" && passed=1 || failed=1
while read -r name seed; do
	if "$sim" --mutant "$name" --seed "$seed" --schedules 1 --workers 1; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
done < <(grep -v '^#' tests/sim/found.txt)
printf '%d passed, %d failed\n' $passed $failed
