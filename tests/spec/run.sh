#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Checks the specifications with spin: every interleaving holds, and leaving out a rule is found out.
# tests/spec/run.sh [long]: long takes more deaths, and all the time and memory it gets.
set -uo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d -t understudy-spec.XXXXXX)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
settle() { if [ -z "$2" ]; then echo "ok $1"; passed=$((passed + 1)); else echo "FAIL $1: $2"; failed=$((failed + 1)); fi; }

# check MODEL OPTION...: leaves what spin's checker says in $work/out.
check() {
	local model=$1
	shift
	cp "$model.pml" "$work" && (cd "$work" && spin "$@" -a "$model.pml" && gcc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=4000 -o pan pan.c &&
		./pan -m300000) >"$work/out" 2>&1
	grep -E 'states, stored|elapsed' "$work/out" | tr -s ' \n' ' '
}

# holds MODEL OPTION...: all of its states were seen and nothing is violated.
holds() {
	check "$@"
	settle "$*" "$(grep -q 'errors: 0' "$work/out" && ! grep -q 'Search not completed' "$work/out" || grep -m 1 pan: "$work/out")"
}

# fails MODEL OPTION...: an assertion is violated.
fails() {
	check "$@"
	settle "$* is found out" "$(grep -q 'assertion violated\|invalid end state' "$work/out" || echo "nothing is violated")"
}

small=(-DBATCHES=2 -DLIVES=4 -DDEATHS=1)
[ "${1:-}" = long ] && small=(-DBATCHES=2 -DLIVES=5 -DDEATHS=2)
holds failover "${small[@]}"
for rule in LEAD_EARLY FORGET_SEAL PROMOTE_FIRST FORGET_EARLY; do fails failover "${small[@]}" -D$rule; done
holds journal
for rule in TAIL_RELAXED CURSOR_RELAXED HEAD_STORE DATA_AFTER; do fails journal -D$rule; done
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ]
