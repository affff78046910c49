#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `release: agreed`: what leaves is what two replicas of every stage have done alike, through kills of either; where a bit
# of one's state changes, nothing wrong leaves, and a third tells who was wrong. CAPTURES: files whose output must be the same,
# byte for byte.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

# settled WHO [OPTION]...: the run, in which a bit of WHO's state changes at its middle, is the reference's nevertheless.
settled() {
	local name=$1 who=$2
	shift 2
	rm -rf "$WORK/log"
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" --fault "flip $who @packet=$middle" "$@"
	settle "$label, $name" "$(why out 'all(r[k] == 0 for k in ("lost", "duplicated", "reordered", "released_wrong"))' \
		'r["doubts"] == 1' 'all(f["restored_us"] > 0 for f in r["failovers"])')$(same)$(
		grep -q "$(numbered "$who") was wrong" "$WORK/out.err" || echo "nobody tells who was wrong: $(tail -n 3 "$WORK/out.err")")"
}

# numbered STAGE/master|slave: as replicas are named at the beginning.
numbered() { sed 's/master/0/; s/slave/1/' <<<"$1"; }

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
			settled "$variant: a bit of the $who's state changes" "edge/$who"
			settled "$variant: and the sequencer dies" "edge/$who" --fault "kill sequencer @packet=$((middle + 20))"
		done
	done
	# What leaves first may have been wrong: then it is told, and only then may the output differ.
	for who in master slave; do
		rm -rf "$WORK/log"
		chain "$WORK/c.yaml"
		run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" --fault "flip edge/$who @packet=$middle"
		if [ "$STATUS" -eq 0 ]; then
			problem=$(why out 'r["doubts"] == 1' 'r["released_wrong"] == 0')$(same)
		else
			problem=$(grep -q "batches had been released before" "$WORK/out.err" || tail -n 1 "$WORK/out.err")
		fi
		settle "$label, release: first: a bit of the $who's state changes" "$problem"
	done
	chain "$WORK/c.yaml" example=chain-3
	reference "$capture" "$WORK/c.yaml"
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" example=chain-3 release=agreed
	stage=$(awk '/- name:/ { print $3; exit }' "$WORK/c.yaml")
	settled "three stages: a bit changes in the first" "$stage/slave"
	rm -rf "$WORK/log"
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap"
	settle "$label: three stages" "$(why out "$CLEAN")$(same)"
done
sed -i 's/slaves: 1/slaves: 0/' "$WORK/c.yaml"
run out "$WORK/c.yaml" --input gen:count=10 --output null:
settle "one replica cannot agree" "$([ "$STATUS" -ne 0 ] && grep -q "needs two replicas" "$WORK/out.err" || echo "exit status $STATUS")"
sed -i 's/slaves: 0/slaves: 1/; s/{name: trojan_detector.*}/{name: traffic_counter, config: {determinism: recorded}}/' "$WORK/c.yaml"
sed -i '/- name: detect/,$ s/variant: active/variant: passive/' "$WORK/c.yaml"
run out "$WORK/c.yaml" --input gen:count=10 --output null:
settle "nor can recorded determinants" "$([ "$STATUS" -ne 0 ] && grep -q "'release: agreed' would wait" "$WORK/out.err" ||
	echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err")")"
finish
