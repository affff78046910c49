#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Stages with several workers: whatever their number and strategy, the same or another in master and slave, and
# whoever dies, the output is that of one worker without failure. Checked from the outside, too: no NAT port
# stands for two, the balancer's counts are those of its output, each alarm is there once. Then a function that
# shares variables between its threads: recorded, and as transactions. For each of CAPTURES; LABELS as in chain.sh.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

INSIDE=(10.0.0.0/8 192.168.0.0/16 172.16.0.0/12)

# Workers and strategies of the master and the slave. A strategy that is forced takes the whole team.
ways() {
	cat <<-EOF
		2 auto
		2 unstructured-operation-lazy
		[1, 2] [auto, breadth-chain-eager]
		[3, 2] [depth-chain-lazy, serial]
		[2, 4] [breadth-operation-lazy, depth-operation-eager]
	EOF
}

# against NAME CAPTURE CHAIN.yaml STAGE: by every fault of a stage's master and slave.
against() {
	local fault problem
	for fault in "kill $4/master @packet=$(((count + 1) / 2))" "stop $4/master @packet=$(((count + 2) / 3))" \
		"kill $4/slave @packet=$(((count + 2) / 3))"; do
		rm -rf "$WORK/log" "$WORK/out.pcap"
		run out "$3" --input "pcap:$2" --output "pcap:$WORK/out.pcap" --fault "$fault"
		problem=$(why out "$CLEAN" 'len(r["failovers"]) == 1')
		settle "$1: $fault" "$problem$(same)"
	done
}

witnesses() { # FILE [KEY: VALUE, ...]
	printf '%s\n' "chain: witnesses" 'ports: [{id: 0, dev: "null:"}, {id: 1, dev: "null:"}]' 'clock: trace' 'stages:' \
		"  - {name: all, $2 vnfs: [{name: witness}, {name: witness}]}" "loggers: {dir: $WORK/log, fold_batches: 4}" >"$1"
}

for capture in ${CAPTURES:?a list of captures}; do
	name=$(basename "$capture")
	variants=(active passive) turn=0
	for example in nat chain-3 witnesses; do
		stage=edge
		[ $example = chain-3 ] && stage=balance
		[ $example = witnesses ] && stage=all
		if [ $example = witnesses ]; then witnesses "$WORK/c.yaml" ''; else chain "$WORK/c.yaml" example=$example; fi
		reference "$capture" "$WORK/c.yaml"
		while read -r way; do
			workers=${way%%[ ]*} strategy=${way#* }
			[[ $way = \[* ]] && workers=${way%%]*}] strategy=${way#*] }
			variant=${variants[turn++ % 2]}
			if [ $example = witnesses ]; then
				witnesses "$WORK/c.yaml" "variant: $variant, workers: $workers, strategy: $strategy,"
			else
				chain "$WORK/c.yaml" example=$example variant=$variant hang_ms=100 "workers=$workers" "strategy=$strategy"
			fi
			against "$name $example $variant, workers $workers, $strategy" "$capture" "$WORK/c.yaml" $stage
			[ $example = nat ] && settle "$name: ports, from the outside" \
				"$(python3 "$E2E/nat_ports.py" "$capture" "$WORK/out.pcap" "${INSIDE[@]}")"
			[ $example = chain-3 ] && settle "$name: the balancer's counts, from the outside" \
				"$(python3 "$E2E/recount.py" "$WORK/out.json" "$WORK/out.pcap" 80 443)"
		done < <(ways)
	done
done

for file in ${LABELS:+"$LABELS"/trojan-*.pcap}; do
	expected=$(awk -F'\t' -v f="$(basename "$file")" '$1 == f { print ($2 ~ /^ALARM once for 10.77.0.10/) ? 1 : 0 }' "$LABELS/LABELS.tsv")
	chain "$WORK/c.yaml" example=chain-3 'inside=[10.77.0.0/16]' hang_ms=100 'workers=[2, 3]' 'strategy=[depth-operation-eager, unstructured-chain-lazy]'
	for packet in 103 342 675; do
		rm -rf "$WORK/log"
		run out "$WORK/c.yaml" --input "pcap:$file" --output "pcap:$WORK/out.pcap" --fault "kill detect/master @packet=$packet"
		problem=$(why out "$CLEAN")
		[ "$(wc -l <"$RUN_DIR/alerts.jsonl")" -eq "$expected" ] || problem+="$(wc -l <"$RUN_DIR/alerts.jsonl") alarms, not $expected"
		settle "$(basename "$file"): $expected alarms, kill at $packet" "$problem"
	done
done

# Milestones each once and in order, whoever leads; the last tells all bytes there were.
milestones() { python3 - "$RUN_DIR/alerts.jsonl" "$COUNT" <<'PY'; }
import json, re, sys
told = sorted(int(re.search(r"(\d+) packets", json.loads(line)["alarm"])[1]) for line in open(sys.argv[1]))
if told != [1000 * i for i in range(1, int(sys.argv[2]) // 1000 + 1)]:
    print("milestones are missing or there twice")
PY
COUNT=${COUNT:-200000}
for determinism in recorded transactional; do for workers in 1 2 '[3, 1]' '[1, 3]'; do
	printf '%s\n' "chain: counter" 'ports: [{id: 0, dev: "null:"}, {id: 1, dev: "null:"}]' 'stages:' \
		"  - {name: edge, variant: passive, workers: $workers, strategy: unstructured-operation-eager," \
		"     vnfs: [{name: traffic_counter, config: {determinism: $determinism}}]}" \
		"loggers: {dir: $WORK/log, fold_batches: 64, retention: 64MiB}" >"$WORK/c.yaml"
	rm -rf "$WORK/log"
	run out "$WORK/c.yaml" --input "gen:flows=1000,size=imix,count=$COUNT" --output null: \
		--fault "kill edge/master @packet=$((COUNT / 3))" --fault "stop edge/master @packet=$((COUNT * 2 / 3))"
	problem=$(why out "$CLEAN" 'len(r["failovers"]) == 2' "r['vnfs']['edge']['traffic_counter/packets'] == $COUNT" \
		"(r['log']['determinant_bytes'] > 0) == ('$determinism' == 'recorded')")
	settle "traffic counter, $determinism, workers $workers" "$problem$(milestones)"
	echo "  determinants: $(value out 'round(r["log"]["determinant_bytes"] / r["packets"]["admitted"], 1)') bytes a packet"
done; done
finish
