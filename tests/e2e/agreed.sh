#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `release: agreed`: what leaves is what two replicas of every stage have done alike, through kills of either; and where
# a bit of one's state changes, nothing wrong has left. CAPTURES: files whose output must be the same, byte for byte.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

# prefix: what of the output is not the beginning of the reference's.
prefix() {
	python3 - "$WORK/ref.pcap" "$WORK/out.pcap" <<'PY'
import sys
ref, out = (open(path, "rb").read() for path in sys.argv[1:3])
if not ref.startswith(out):
    print("something wrong has left")
if not 24 < len(out) < len(ref):
    print(f"{len(out)} of {len(ref)} bytes have left: nothing was to be seen")
PY
}

for capture in ${CAPTURES:-$ROOT/tests/traces/office.pcap}; do
	label=$(basename "$capture")
	chain "$WORK/c.yaml"
	reference "$capture" "$WORK/c.yaml"
	middle=$((count / 2))
	for variant in active passive; do
		rm -rf "$WORK/log"
		chain "$WORK/c.yaml" release=agreed variant=$variant
		run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" --fault "kill edge/master @packet=$middle" \
			--fault "kill edge/slave @packet=$((middle + 50))" --fault "kill sequencer @packet=$((middle + 100))"
		settle "$label, $variant: master, slave and sequencer die" "$(why out "$CLEAN" 'len(r["failovers"]) == 3')$(same)"
		for who in master slave; do
			rm -rf "$WORK/log"
			run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" --fault "flip edge/$who @packet=$middle"
			settle "$label, $variant: a bit of the $who's state changes" "$([ "$STATUS" -ne 0 ] && grep -q 'REPLICAS DISAGREE' "$WORK/out.err" ||
				echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err") ")$(prefix)"
		done
	done
	chain "$WORK/c.yaml" example=chain-3
	reference "$capture" "$WORK/c.yaml"
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" example=chain-3 release=agreed
	stage=$(awk '/- name:/ { print $3; exit }' "$WORK/c.yaml")
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" --fault "flip $stage/slave @packet=$middle"
	settle "$label: a bit changes in the first of three stages" "$([ "$STATUS" -ne 0 ] && grep -q 'REPLICAS DISAGREE' "$WORK/out.err" ||
		echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err") ")$(prefix)"
	rm -rf "$WORK/log"
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap"
	settle "$label: three stages" "$(why out "$CLEAN")$(same)"
done
sed -i 's/slaves: 1/slaves: 0/' "$WORK/c.yaml"
run out "$WORK/c.yaml" --input gen:count=10 --output null:
settle "one replica cannot agree" "$([ "$STATUS" -ne 0 ] && grep -q "needs two replicas" "$WORK/out.err" || echo "exit status $STATUS")"
finish
