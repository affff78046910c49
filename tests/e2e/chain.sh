#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The chain of three VNFs, in one stage and in three: the same output as the unprotected run whoever dies, in
# whichever stage; what stages change in a packet adds up; each alarm exactly once; what the balancer counts
# is what its output shows. For each of CAPTURES; LABELS: a folder with labelled captures of Trojans.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

# faults N: a line a run: a fault or two in every stage, at the first packet, in the middle, at the last.
faults_three() {
	local first=1 third=$((($1 + 2) / 3)) half=$((($1 + 1) / 2)) last=$1
	cat <<-EOF
		active kill nat/master @packet=$half
		active kill balance/master @packet=$half
		active kill detect/master @packet=$half
		active kill balance/master @packet=$first
		active kill balance/master @packet=$last
		active stop balance/master @packet=$third
		active kill balance/slave @packet=$third
		active kill nat/master @packet=$third,kill balance/master @packet=$third,kill detect/master @packet=$third
		active kill nat/slave @packet=$third,kill balance/master @packet=$half,stop detect/master @packet=$half
		passive kill balance/master @packet=$half
		passive kill nat/master @packet=$half
		passive stop detect/master @packet=$third
		passive kill balance/slave @packet=$third,kill nat/master @packet=$half
	EOF
}
faults_one() {
	local third=$((($1 + 2) / 3)) half=$((($1 + 1) / 2))
	cat <<-EOF
		active kill edge/master @packet=$half
		active stop edge/slave @packet=$third
		passive kill edge/master @packet=$half
		passive stop edge/master @packet=$third
	EOF
}

# faulty NAME CAPTURE CHAIN.yaml 'FAULT,FAULT...'
faulty() {
	local fault faults options=() problem
	IFS=, read -ra faults <<<"$4"
	for fault in "${faults[@]}"; do options+=(--fault "$fault"); done
	rm -rf "$WORK/log" "$WORK/out.pcap"
	run out "$3" --input "pcap:$2" --output "pcap:$WORK/out.pcap" "${options[@]}"
	problem=$(why out "$CLEAN" "len(r['failovers']) == ${#faults[@]}")
	settle "$1: $4" "$problem$(same)"
}

for capture in ${CAPTURES:?a list of captures}; do
	for example in chain chain-3; do
		name="$(basename "$capture") $example"
		chain "$WORK/c.yaml" example=$example
		reference "$capture" "$WORK/c.yaml"
		[ $example = chain ] && cp "$WORK/ref.pcap" "$WORK/one-stage.pcap"
		while read -r variant faults; do
			chain "$WORK/c.yaml" example=$example variant=$variant hang_ms=100
			faulty "$name $variant" "$capture" "$WORK/c.yaml" "$faults"
		done < <(if [ $example = chain ]; then faults_one "$count"; else faults_three "$count"; fi)
		settle "$name: the balancer's counts" "$(python3 "$E2E/recount.py" "$WORK/out.json" "$WORK/out.pcap" 80 443)"
	done
	settle "$(basename "$capture") in one stage and in three" "$(cmp "$WORK/one-stage.pcap" "$WORK/ref.pcap" 2>&1)"
done

# Stages that edit, resize, emit and drop: what the first does to a packet is what the next one sees.
witnesses() { # FILE STAGES
	printf '%s\n' "chain: witnesses" 'ports: [{id: 0, dev: "null:"}, {id: 1, dev: "null:"}]' 'clock: trace' 'stages:' "$2" \
		"loggers: {dir: $WORK/log, fold_batches: 4}" >"$1"
}
for capture in $CAPTURES; do
	name="$(basename "$capture") witnesses"
	witnesses "$WORK/c.yaml" '  - {name: all, vnfs: [{name: witness}, {name: witness}, {name: witness}]}'
	reference "$capture" "$WORK/c.yaml"
	cp "$WORK/ref.pcap" "$WORK/one-stage.pcap"
	cp "$WORK/ref.jsonl" "$WORK/one-stage.jsonl"
	witnesses "$WORK/c.yaml" "$(printf '  - {name: %s, vnfs: [{name: witness}]}\n' nat balance detect)"
	reference "$capture" "$WORK/c.yaml"
	settle "$name in one stage and in three" "$(cmp "$WORK/one-stage.pcap" "$WORK/ref.pcap" 2>&1;
		cmp "$WORK/one-stage.jsonl" "$WORK/ref.jsonl" 2>&1)"
	while read -r variant faults; do
		[ "$variant" = active ] && faulty "$name" "$capture" "$WORK/c.yaml" "$faults"
	done < <(faults_three "$count")
done

# labelled FILE INSIDE: alarms as LABELS.tsv says, whoever dies between the steps and within them.
labelled() {
	local file=$1 name expected
	name=$(basename "$file")
	expected=$(awk -F'\t' -v f="$name" '$1 == f { print ($2 ~ /^ALARM once for 10.77.0.10/) ? 1 : ($2 ~ /^no alarm/) ? 0 : "?" }' "$LABELS/LABELS.tsv")
	chain "$WORK/c.yaml" example=chain-3 'inside=[10.77.0.0/16]' hang_ms=100
	reference "$file" "$WORK/c.yaml"
	settle "$name: $expected alarms" "$(grep -c 'host 10\.77\.0\.10:' "$WORK/ref.jsonl" | grep -qx "$expected" && [ "$(wc -l <"$WORK/ref.jsonl")" -eq "$expected" ] || cat "$WORK/ref.jsonl")"
	# The steps lie within these packets: SSH, the first file, IRC.
	for packet in 11 103 342 675 677 686; do
		faulty "$name" "$file" "$WORK/c.yaml" "kill detect/master @packet=$packet"
		faulty "$name" "$file" "$WORK/c.yaml" "kill nat/master @packet=$packet,kill balance/master @packet=$((packet + 1))"
	done
}
if [ -n "${LABELS:-}" ]; then
	for file in "$LABELS"/trojan-*.pcap; do labelled "$file"; done
else
	echo "the labelled captures are not here: the detector is tried on unit tests' packets alone"
fi
finish
