#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The sequencer, which is ingress and egress, is killed or stopped in the middle of a run, alone and with others: a
# new one goes on where it was. CAPTURES: files whose output must be the same, byte for byte, as without a fault.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
COUNT=${COUNT:-2000000}
FAULT_FREE='all(f["restored_us"] > 0 for f in r["failovers"])'

# survives NAME FAULTS [KEY=VALUE]...: each fault at a packet, on the capture; the output is the reference's.
survives() {
	local name=$1 faults=() fault
	while IFS= read -r fault; do [ -n "$fault" ] && faults+=(--fault "$fault"); done <<<"$2"
	shift 2
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" hang_ms=500 "$@"
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" "${faults[@]}"
	settle "$name" "$(why out "$CLEAN" "$FAULT_FREE" 'r["log"]["restarts"]["sequencer"] > 0' \
		'r["packets"]["ambiguous"] == 0' 'r["packets"]["in_flight"] == 0')$(same)"
}

for capture in ${CAPTURES:-$ROOT/tests/traces/office.pcap}; do
	label=$(basename "$capture")
	chain "$WORK/c.yaml"
	reference "$capture" "$WORK/c.yaml"
	middle=$((count / 2))
	for durability in process disk; do for variant in active passive; do
		survives "$label, $durability, $variant: the sequencer dies at its first, middle and last packet" \
			"kill sequencer @packet=1
			kill sequencer @packet=$middle
			kill sequencer @packet=$count" "durability=$durability" "variant=$variant"
	done; done
	survives "$label: the sequencer is stopped" "stop sequencer @packet=$middle"
	survives "$label: the sequencer and the master die at the same packet" \
		"kill sequencer @packet=$middle
		kill edge/master @packet=$middle"
	survives "$label: the sequencer and both replicas" \
		"kill edge/master @packet=$((middle - 1))
		kill edge/master @packet=$middle
		kill sequencer @packet=$middle" variant=passive
	chain "$WORK/c.yaml" example=chain-3
	reference "$capture" "$WORK/c.yaml"
	survives "$label: the sequencer of a chain of three stages" "kill sequencer @packet=$middle" example=chain-3
done

# Again and again, at any moment of it; what the sink has seen decides.
chain "$WORK/c.yaml" hang_ms=500 fold_batches=64
rm -rf "$WORK/log"
run out "$WORK/c.yaml" --input "gen:flows=1000,size=64,count=$COUNT,rate=$((COUNT / 4))" --output null: \
	--fault 'kill sequencer @time=0.5' --fault 'kill sequencer @time=1.1' --fault 'kill sequencer @time=1.7' \
	--fault 'kill logger/packets @time=1.7' --fault 'kill sequencer @time=2.3' --fault 'kill manager @time=2.3' \
	--fault 'kill sequencer @time=2.9' --fault 'kill logger/determinants @time=2.9'
settle "the sequencer dies five times, with loggers and the manager" "$(why out "$CLEAN" "$FAULT_FREE" \
	'r["log"]["restarts"]["sequencer"] == 5' 'len([f for f in r["failovers"] if f["role"] == "manager"]) == 1')"
rm -rf "$WORK/log"
run out "$WORK/c.yaml" --input "gen:count=$COUNT,rate=$((COUNT / 4))" --output null: \
	--fault 'kill sequencer @time=0.5' --fault 'kill sequencer @time=0.5' --fault 'kill sequencer @time=0.5'
settle "three faults at the same time meet three sequencers" "$(why out "$CLEAN" "$FAULT_FREE" \
	'r["log"]["restarts"]["sequencer"] == 3')"
rm -rf "$WORK/log"
run out "$WORK/c.yaml" --input "gen:count=$COUNT,rate=$((COUNT / 4))" --output null: \
	--fault 'stop manager @time=0.5' --fault 'kill sequencer @time=0.5'
settle "one that dies while the manager is stopped is counted" "$(why out "$CLEAN" "$FAULT_FREE" \
	'r["log"]["restarts"]["sequencer"] == 1')"
chain "$WORK/c.yaml"
run out "$WORK/c.yaml" --unprotected --input "gen:count=100000,rate=50000" --output null: --fault 'kill sequencer @time=0.5'
settle "without protection the fault is refused" "$([ "$STATUS" -ne 0 ] && grep -q 'nothing protects it' "$WORK/out.err" ||
	echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err")")"
settle "nothing left behind" "$(roles_left; find /dev/shm -name "understudy-*" -newer "$WORK/c.yaml" 2>/dev/null)"
finish
