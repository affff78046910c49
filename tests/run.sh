#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs what the tests need, builds with AddressSanitizer and UndefinedBehaviorSanitizer, and runs
# all of them. The last line is "N passed, N failed".
set -uo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C

build=build-test
traces=../shared/traces
passed=0
failed=0

note() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
count() { passed=$((passed + $1)); failed=$((failed + $2)); }
finish() { printf '\n%d passed, %d failed\n' "$passed" "$failed"; [ "$failed" -eq 0 ]; exit; }

# A step that is one test of its own.
one() {
	local name=$1
	shift
	if "$@"; then echo "ok $name"; count 1 0; else echo "FAIL $name"; count 0 1; fi
}

# A script whose last line is "N passed, N failed".
script() {
	local name=$1 out last
	shift
	note "$name"
	out=$(mktemp)
	"$@" 2>&1 | tee "$out"
	last=$(tail -n 1 "$out")
	rm -f "$out"
	if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed ]]; then
		count "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
	else
		echo "FAIL $name: it did not come to its end"
		count 0 1
	fi
}

# The tests of one cmocka program.
unit() {
	local out ok bad status
	out=$("$1" 2>&1)
	status=$?
	ok=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) test.*/\1/p' <<<"$out" | head -n 1)
	bad=$(sed -n 's/^\[  FAILED  \] \([0-9]*\) test.*/\1/p' <<<"$out" | head -n 1)
	printf '%-40s %s passed, %s failed\n' "$(basename "$1")" "${ok:-0}" "${bad:-0}"
	if [ "$status" -ne 0 ]; then
		printf '%s\n' "$out" | grep -vE '^\[ RUN|^\[       OK' | tail -n 30
		[ "${bad:-0}" -eq 0 ] && bad=1
	fi
	count "${ok:-0}" "${bad:-0}"
}

note "packages"
deploy/packages.sh test || { count 0 1; finish; }

note "build"
if ! { cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTESTS=ON -DSANITIZE=ON >/dev/null &&
	ninja -C "$build"; }; then
	echo "FAIL build"
	count 0 1
	finish
fi

note "style"
one "style finds what it should" python3 tests/style/check.py --self-test
one "style" python3 tests/style/check.py

note "threads"
if cmake -S . -B "$build-threads" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTESTS=ON -DSANITIZE_THREADS=ON >/dev/null &&
	ninja -C "$build-threads" test_txn_access test_vnf_team; then
	PROGRAMS=20 unit "$build-threads/tests/test_txn_access"
	unit "$build-threads/tests/test_vnf_team"
else
	echo "FAIL build for ThreadSanitizer"
	count 0 1
fi

note "units"
export ASAN_OPTIONS=detect_leaks=0
for program in "$build"/tests/test_*; do
	[ -x "$program" ] && unit "$program"
done

script "simulated schedules" tests/sim/run.sh "$build/sim" 10000
script "simulated schedules, sanitized" tests/sim/run.sh "$build/sim_sanitized" 200 500001
script "seeded bugs" tests/sim/mutants.sh "$build/sim"
script "specifications" tests/spec/run.sh
script "fuzzing" tests/fuzz/run.sh
export UNDERSTUDY=$PWD/$build/understudy
CAPTURES=$PWD/tests/traces/office.pcap
if [ -d "$traces" ]; then
	shared="$PWD/$traces/core/web/ppp-example.pcap $PWD/$traces/core/dns/ppp-dns-packets.pcap"
	echo "the shared traces are used too"
else
	shared=
	echo "the shared traces are not beside this checkout: only the project's own capture is used"
fi
export CAPTURES
script "equivalence: the full product on the project's capture" tests/e2e/equivalence.sh
[ -n "$shared" ] && CAPTURES=$shared PAIRWISE=1 script "equivalence: shared traces" tests/e2e/equivalence.sh
CAPTURES="$CAPTURES $shared" script "captures judged by others" tests/e2e/judge.sh
[ -n "$shared" ] && export LABELS=$PWD/$traces/derived
script "the chain in one stage and in three" tests/e2e/chain.sh
script "every call of a VNF" tests/e2e/calls.sh
script "stages with workers" tests/e2e/workers.sh
COUNT=1500000 script "restore and manager restart" tests/e2e/restore.sh
script "loggers that die, a disk that is full" tests/e2e/loggers.sh
script "a sequencer that dies" tests/e2e/gateway.sh
script "what operators ask for" tests/e2e/operators.sh
script "release of what two replicas agree on" tests/e2e/agreed.sh
script "crashes with 2 GB of state, core dumps on and off" tests/e2e/crash.sh
script "packets that every replica crashes on" tests/e2e/poison.sh
script "everything killed at once, restarted from disk" tests/e2e/power.sh
script "faults on every component under load" tests/e2e/campaign.sh
script "live ports" tests/e2e/live.sh
script "the chain live, on af_packet" tests/e2e/live_chain.sh
PORTS=tap script "the chain live, on tap" tests/e2e/live_chain.sh
script "huge pages" tests/e2e/hugepages.sh
script "telemetry" tests/e2e/telemetry.sh
script "bad input" tests/e2e/bad_input.sh

finish
