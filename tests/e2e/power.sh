#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# All processes are killed at once, again and again, and each time the same command goes on from disk: in the end the
# output is that of a run without a fault, byte for byte. CYCLES: how often (6).
set -uo pipefail
. "$(dirname "$0")/lib.sh"
CYCLES=${CYCLES:-6}
source=${CAPTURES:-$ROOT/tests/traces/office.pcap}

# repeated IN OUT TIMES: the capture so often, one after another, so that it lasts.
repeated() {
	python3 - "$@" <<'PY'
import struct, sys
data, records, at = open(sys.argv[1], "rb").read(), [], 24
while at < len(data):
    seconds, part, length, wire = struct.unpack_from("<IIII", data, at)
    records.append((seconds, part, data[at + 16:at + 16 + length], wire))
    at += 16 + length
span = records[-1][0] - records[0][0] + 1
with open(sys.argv[2], "wb") as out:
    out.write(data[:24])
    for i in range(int(sys.argv[3])):
        for seconds, part, frame, wire in records:
            out.write(struct.pack("<IIII", seconds + i * span, part, len(frame), wire) + frame)
PY
}

# cycle: a run that is killed after a while, with all that it started; false: it came to its end.
cycle() {
	"$UNDERSTUDY" run "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap" --run-dir "$RUN_DIR" \
		>"$WORK/cycle.out" 2>"$WORK/cycle.err" &
	local supervisor=$! left
	sleep "$1"
	kill -9 $supervisor 2>/dev/null
	wait $supervisor 2>/dev/null
	for _ in $(seq 100); do left=$(roles_left) && [ -z "$left" ] && break; sleep 0.05; done
	[ -e "$WORK/log/run" ]
}

repeated "${source%% *}" "$WORK/in.pcap" 240
for variant in active passive; do
	chain "$WORK/c.yaml" durability=disk "variant=$variant" fold_batches=64
	reference "$WORK/in.pcap" "$WORK/c.yaml"
	rm -f "$WORK/out.pcap"
	killed=0
	for i in $(seq "$CYCLES"); do
		cycle "$((i % 2)).$((i * 37 % 90 + 10))" || break
		killed=$((killed + 1))
	done
	run out "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap"
	settle "$variant: after $killed ends of all processes at once the output is the same" \
		"$(why out "$CLEAN" 'r["packets"]["ambiguous"] == 0')$(cmp "$WORK/ref.pcap" "$WORK/out.pcap" 2>&1)$(
			[ "$killed" -gt 1 ] || echo "killed $killed times only; ")$(
			cmp -s "$WORK/ref.jsonl" "$RUN_DIR/alerts.jsonl" || echo "the alarms differ")"
	settle "$variant: it has ended: the next run begins anew" "$([ ! -e "$WORK/log/run" ] || echo "its mark is left")"
done
# What was set aside in the log is whole, over all the runs.
settle "the audit log of all of them is whole" "$("$UNDERSTUDY" audit verify "$WORK/log" >/dev/null 2>"$WORK/audit" || cat "$WORK/audit")"
chain "$WORK/c.yaml" durability=disk
cycle 0.5
echo "hang_ms: 100" >>"$WORK/c.yaml"
run out "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap"
settle "another configuration is not gone on with, in one clear line" "$([ "$STATUS" -ne 0 ] &&
	grep -q 'was changed since' "$WORK/out.err" || echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err")")"
rm -rf "$WORK/log"
chain "$WORK/c.yaml" durability=disk
run out "$WORK/c.yaml" --input "pcap:$WORK/nowhere.pcap" --output "pcap:$WORK/out.pcap"
settle "one that could not start is not gone on with" "$([ "$STATUS" -ne 0 ] && [ ! -e "$WORK/log/run" ] || echo "its mark is left")"
chain "$WORK/c.yaml"
cycle 0.5 && bad "without 'disk' nothing is gone on with" "a mark is left" || ok "without 'disk' nothing is gone on with"
finish
