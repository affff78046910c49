#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# A master with 2 GB of state that crashes by itself, where core dumps are off and where they are on: it does not write one
# before anybody learns of its death, and nothing is lost. The times are printed, not judged.
set -uo pipefail
RUN_SECONDS_MAX=${RUN_SECONDS_MAX:-300}
. "$(dirname "$0")/lib.sh"
STATE_KIB=$((2 << 20))

available=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
[ "$available" -gt $((STATE_KIB * 5)) ] || skip "2 GB of state: three replicas of it need 10 GB of memory"
mkdir "$WORK/cores"
cd "$WORK/cores" || exit 1
cores() { find "$WORK/cores" -type f | wc -l; }

for limit in 0 unlimited; do
	ulimit -S -c $limit 2>/dev/null || { echo "NOT RUN: core dumps on: the limit cannot be raised here"; continue; }
	if [ $limit = unlimited ]; then
		# shellcheck disable=SC2016
		{ sh -c 'kill -SEGV $$'; } 2>/dev/null
		[ "$(cores)" -eq 1 ] || echo "another crash leaves no core in its folder here: kernel.core_pattern is '$(cat /proc/sys/kernel/core_pattern)'"
		rm -f "$WORK"/cores/*
	fi
	chain "$WORK/c.yaml" hang_ms=5000 'pool=[192.0.2.0/24], capacity: 10000000'
	start_run "$WORK/c.yaml" gen:flows=100000,size=64,rate=50000,count=1e15
	until_ready 120 || problem="not both were ready; "
	sleep 3
	pid=$(replica_pid master)
	held=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
	[ "${held:-0}" -ge $STATE_KIB ] || problem+="it holds only ${held:-0} KiB; "
	kill -SEGV "$pid"
	sleep 1
	until_ready 120 || problem+="redundancy did not come back; "
	"$UNDERSTUDY" drain --run-dir "$RUN_DIR" >/dev/null
	await_end
	[ "$(cores)" -eq 0 ] || problem+="it left a core dump; "
	settle "SIGSEGV with $((held >> 10)) MiB of state, core dumps $limit" "$problem$(why out "$CLEAN" \
		'[(f["role"], f["fault"]) for f in r["failovers"]] == [("master", "crash")]' 'r["failovers"][0]["restored_us"] > 0')"
	value out '"  detected {detect_us:.0f} us, outage {outage_us:.0f} us, redundant again {restored_us:.0f} us".format(**r["failovers"][0])'
done
finish
