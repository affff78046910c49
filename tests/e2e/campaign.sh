#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# `understudy measure`: faults on every component, singly and two at once, at shares of the rate that the chain can do
# without a fault. FAULTS: how many in all (45). RESULTS: a folder for reports and pages; none are kept without it.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
FAULTS=${FAULTS:-45}
RESULTS=${RESULTS:-$WORK}
mkdir -p "$RESULTS"

cat >"$WORK/c.yaml" <<EOF
chain: campaign
ports: [{id: 0, dev: "gen:flows=1000,size=64"}, {id: 1, dev: "null:"}]
journal: 4MiB
stages:
  - {name: nat, variant: active, vnfs: [{name: nat, config: {inside: [10.0.0.0/8], pool: [192.0.2.1]}}]}
  - {name: detect, variant: passive, vnfs: [{name: trojan_detector, config: {inside: [10.0.0.0/8]}}]}
loggers: {dir: $WORK/log}
EOF
run out "$WORK/c.yaml" --input gen:flows=1000,size=64,count=2000000
settle "what the chain can do without a fault" "$(why out "$CLEAN")"
saturation=$(value out 'int(r["throughput_mpps"] * 1e6)')
echo "saturated at $saturation packets a second"
for share in 50 90 120; do
	rm -rf "$WORK/log"
	"$UNDERSTUDY" measure "$WORK/c.yaml" --kills $((FAULTS / 3)) --seed $share --report "$RESULTS/at-$share.json" \
		--input "gen:flows=1000,size=64,rate=$((saturation * share / 100))" --html "$RESULTS/at-$share.html" \
		>"$RESULTS/at-$share.txt" 2>"$WORK/err"
	STATUS=$?
	cat "$RESULTS/at-$share.txt"
	settle "$((FAULTS / 3)) faults at $share% of it" "$([ $STATUS -eq 0 ] || tail -n 1 "$WORK/err")$(
		python3 - "$RESULTS/at-$share.json" <<'PY'
import json, sys
r = json.load(open(sys.argv[1]))
for key in ("lost", "duplicated", "reordered", "digest_mismatches"):
    if r[key] != 0:
        print(f"{key}: {r[key]}; ", end="")
if r["run"]["packets"]["ambiguous"] != 0:
    print("something is ambiguous; ", end="")
for what in ("processes", "shm_files", "free_hugepages"):
    if r["held_before"][what] != r["held_after"][what]:
        print(f"{what} before {r['held_before'][what]}, after {r['held_after'][what]}; ", end="")
PY
	)"
done
settle "nothing left behind" "$(roles_left; find /dev/shm -name "understudy-*" -newer "$WORK/c.yaml" 2>/dev/null)"
finish
