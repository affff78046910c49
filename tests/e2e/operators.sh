#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What operators ask for, while traffic flows: another leader, a replica made anew, an end of the input; and what they
# get wrong.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

ask() { "$UNDERSTUDY" "$@" --run-dir "$RUN_DIR" >"$WORK/ask.out" 2>"$WORK/ask.err"; }
until_ready() {
	for _ in $(seq 200); do
		"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -c ' ready ' | grep -qx 2 && return 0
		sleep 0.05
	done
	return 1
}
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
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" "variant=$variant"
	timeout -k 5 "$RUN_SECONDS_MAX" "$UNDERSTUDY" run "$WORK/c.yaml" --input gen:count=1e15,rate=50000 --output null: \
		--run-dir "$RUN_DIR" --report "$WORK/out.json" >"$WORK/out.out" 2>"$WORK/out.err" &
	supervisor=$!
	problem=
	begun switchover edge
	begun resync edge/1
	begun switchover edge
	if [ $variant = active ]; then
		until_ready
		refused 'no such stage' switchover nobody
		refused 'no such replica' resync edge/7
		refused 'use switchover' switchover
		refused 'use switchover' resync edge
	fi
	until_ready
	begun drain
	wait $supervisor
	STATUS=$?
	settle "$variant: two switchovers, a resync and a drain" "$problem$(why out "$CLEAN" 'r["packets"]["in_flight"] == 0' \
		'[f["fault"] for f in r["failovers"]] == ["asked"] * 3' 'all(f["restored_us"] > 0 for f in r["failovers"])')"
done
ask switchover edge
settle "refused where no chain runs" "$(grep -q 'no chain runs here' "$WORK/ask.err" || cat "$WORK/ask.err")"
finish
