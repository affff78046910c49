#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What operators ask for, while traffic flows: another leader, a replica made anew, maintenance, an end of the input; and
# what they get wrong.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

ask() { "$UNDERSTUDY" "$@" --run-dir "$RUN_DIR" >"$WORK/ask.out" 2>"$WORK/ask.err"; }
# begun WORD...: it is asked for when all is ready, and done.
begun() { until_ready && ask "$@" || problem+="$*: $(cat "$WORK/ask.err"); "; }
# refused PATTERN WORD...
refused() {
	local pattern=$1
	shift
	ask "$@"
	settle "refused: $*" "$([ $? -ne 0 ] && [ "$(wc -l <"$WORK/ask.err")" -eq 1 ] && grep -q "$pattern" "$WORK/ask.err" ||
		cat "$WORK/ask.out" "$WORK/ask.err")"
}

for variant in active passive; do
	chain "$WORK/c.yaml" "variant=$variant"
	start_run "$WORK/c.yaml" gen:count=1e15,rate=50000
	begun switchover edge
	begun resync edge/1
	begun switchover edge
	if [ $variant = active ]; then
		until_ready
		refused 'no such stage' switchover nobody
		refused 'no such replica' resync edge/7
		refused 'use switchover' switchover
		refused 'maintenance on|off' maintenance
		refused 'use switchover' resync edge
	fi
	# Who goes stays away, and who is stopped is let be.
	begun maintenance on
	ask inject 'kill edge/slave'
	sleep 0.5
	pid=$(replica_pid master)
	kill -STOP "$pid"
	sleep 0.7
	"$UNDERSTUDY" status --run-dir "$RUN_DIR" >"$WORK/status.txt"
	kill -CONT "$pid"
	grep -q MAINTENANCE "$WORK/status.txt" && grep -q ' 4 failovers' "$WORK/status.txt" &&
		[ "$(grep -c ' ready ' "$WORK/status.txt")" -eq 1 ] || problem+="maintenance: $(cat "$WORK/status.txt"); "
	ask maintenance off || problem+="maintenance off: $(cat "$WORK/ask.err"); "
	begun drain
	await_end
	settle "$variant: two switchovers, a resync, maintenance and a drain" "$problem$(why out "$CLEAN" 'r["packets"]["in_flight"] == 0' \
		'[f["fault"] for f in r["failovers"]] == ["asked"] * 3 + ["kill"]' 'all(f["restored_us"] > 0 for f in r["failovers"])')"
done
ask switchover edge
settle "refused where no chain runs" "$(grep -q 'no chain runs here' "$WORK/ask.err" || cat "$WORK/ask.err")"
finish
