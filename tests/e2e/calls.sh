#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Every call that a VNF can make (edit, resize, emit, alarm, drop, random, expiry, abort, determinant),
# through failovers: the witness VNFs of tests/vnf. What can be recomputed is compared with the reference
# run; what cannot, by the digests of leader and slave.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

# witness FILE NAME VARIANT SLAVES
witness() {
	printf '%s\n' "chain: $2" 'ports: [{id: 0, dev: "null:"}, {id: 1, dev: "null:"}]' 'clock: trace' 'stages:' \
		"  - {name: edge, variant: $3, slaves: $4, vnfs: [{name: $2}]}" "loggers: {dir: $WORK/log, fold_batches: 4, retention: 64MiB}" >"$1"
}

# alarms FILE: each once, in order.
alarms() { python3 - "$1" <<'PY'; }
import json, sys
ids = [json.loads(line)["packet_id"] for line in open(sys.argv[1])]
if not ids:
    print("no alarms")
elif any(b <= a for a, b in zip(ids, ids[1:])):
    print("an alarm twice, or out of order")
PY

for capture in ${CAPTURES:?a list of captures}; do
	name=$(basename "$capture")
	witness "$WORK/c.yaml" witness active 1
	rm -rf "$WORK/log"
	run ref "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/ref.pcap" --unprotected
	settle "$name unprotected" "$(why ref)"
	cp "$RUN_DIR/alerts.jsonl" "$WORK/ref.jsonl"
	settle "$name has alarms" "$(alarms "$WORK/ref.jsonl")"
	count=$(value ref 'r["packets"]["admitted"]')
	for variant in active passive; do for fault in kill stop; do for role in master slave; do
		rm -rf "$WORK/log" "$WORK/out.pcap"
		witness "$WORK/c.yaml" witness $variant 1
		run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" \
			--fault "$fault edge/$role @packet=$(((count + 1) / 2))"
		problem=$(why out "$CLEAN" 'len(r["failovers"]) == 1' 'r["packets"]["dropped_by_vnf"] > 0')
		cmp -s "$WORK/ref.pcap" "$WORK/out.pcap" || problem+="the output differs; "
		cmp -s "$WORK/ref.jsonl" "$RUN_DIR/alerts.jsonl" || problem+="the alarms differ; "
		settle "$name $variant $fault $role" "$problem"
	done; done; done
done

# What the leader was told, the slave is told: their digests agree, before and after a slave leads.
COUNT=${COUNT:-400000}
for slaves in 1 2; do for faults in '' 'kill edge/master@1/2' 'stop edge/master@1/3 kill edge/master@2/3' \
	'kill edge/slave@1/3 kill edge/master@2/3'; do
	options=()
	while read -r action what; do
		[ -n "$action" ] || continue
		part=${what#*@}
		options+=(--fault "$action ${what%@*} @packet=$((COUNT * ${part%/*} / ${part#*/}))")
	done < <(grep -oE '(kill|stop) [^ ]+' <<<"$faults")
	rm -rf "$WORK/log"
	witness "$WORK/c.yaml" witness_asks passive $slaves
	run out "$WORK/c.yaml" --input "gen:flows=1000,size=imix,count=$COUNT" --output null: "${options[@]}"
	settle "determinants, $slaves slaves: ${faults:-no fault}" "$(why out "$CLEAN" 'r["digests_compared"] > 0' \
		'r["log"]["determinant_bytes"] > 0' "len(r['failovers']) == $((${#options[@]} / 2))")"
done; done
witness "$WORK/c.yaml" witness_asks active 1
run out "$WORK/c.yaml" --input "gen:count=10" --output null:
settle "determinants need passive" "$([ "$STATUS" -ne 0 ] && grep -q passive "$WORK/out.err" || echo "status $STATUS: $(cat "$WORK/out.err")")"
finish
