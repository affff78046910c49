#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Replicas restored again and again, from base values of different batches and so with their tables in
# different physical orders, stay equal to the end: every batch's digests are compared. And a manager
# killed in the middle of a run: the next one sees a master die.
set -uo pipefail
RUN_SECONDS_MAX=${RUN_SECONDS_MAX:-120}
. "$(dirname "$0")/lib.sh"
COUNT=${COUNT:-6000000}

# Variant, fold_batches, retention, and who is killed at which part of the input. A slave must be back before
# the next one can be killed; on a busy machine that takes a while, and nobody is to lose patience with it.
rows=(
	"active 2 16MiB slave:1/4 master:2/4 slave:3/4"
	"active 3 0 master:1/4 slave:2/4 master:3/4"
	"active 8 64MiB slave:1/3 slave:2/3"
	"passive 2 16MiB slave:1/4 master:2/4 slave:3/4"
	"passive 5 0 master:1/4 slave:2/4 master:3/4"
	"passive 8 64MiB slave:1/3 slave:2/3"
)
# New flows all the time, and bindings that expire: after 1 s of the trace's clock, 1 us a packet.
traffic="gen:flows=20000,size=64,new=1%,count=$COUNT,seed=5"

# faults COUNT ROLE:PART...: --fault options at parts of COUNT.
faults() {
	local count=$1 role part
	shift
	for part in "$@"; do
		role=${part%%:*} part=${part#*:}
		printf '%s\n' --fault "kill edge/$role @packet=$((count * ${part%/*} / ${part#*/}))"
	done
}

for row in "${rows[@]}"; do for slaves in 1 2; do
	read -r variant folds retention kills <<<"$row"
	read -ra kills <<<"$kills"
	mapfile -t options < <(faults "$COUNT" "${kills[@]}")
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" "variant=$variant" "fold_batches=$folds" "retention=$retention" "slaves=$slaves" clock=trace \
		hang_ms=5000 'pool=[192.0.2.1], udp_timeout_s: 1'
	run out "$WORK/c.yaml" --input "$traffic" --output null: "${options[@]}"
	settle "$variant, $slaves slaves, fold every $folds, keep $retention: ${kills[*]}" "$(why out "$CLEAN" \
		"len(r['failovers']) == ${#kills[@]}" 'r["digests_compared"] > 0' 'r["log"]["folds"] > 0')"
done; done

# begin VARIANT: a long run. Leaves $problem empty once both replicas are ready. A busy machine is not to be taken for a
# hang: a replica that is restored then might catch up only at the end.
begin() {
	chain "$WORK/c.yaml" "variant=$1" fold_batches=64 retention=64MiB hang_ms=2000
	start_run "$WORK/c.yaml" "gen:flows=1000,size=64,count=$((COUNT * 3))"
	until_ready "$RUN_SECONDS_MAX" || problem="it ended before both were ready; "
	sleep 0.3
}

# A manager that dies; then, under the next one, a master.
for variant in active passive; do for fault in kill stop; do
	begin $variant
	manager=$(role_pids manager)
	kill -9 $manager || problem+="no manager to kill; "
	for _ in $(seq 100); do
		"$UNDERSTUDY" inject "$fault edge/master" --run-dir "$RUN_DIR" >"$WORK/inject" 2>&1 && break
		sleep 0.05
	done
	grep -q injected "$WORK/inject" || problem+="not injected: $(cat "$WORK/inject"); "
	[ "$(role_pids manager)" != "$manager" ] || problem+="no new manager; "
	await_end
	problem+=$(why out "$CLEAN" 'sorted(f["role"] for f in r["failovers"]) == ["manager", "master"]' \
		'all(f["restored_us"] > 0 for f in r["failovers"] if f["stage"])')
	settle "$variant: the manager dies, then $fault master" "$problem"
done; done

# A manager that dies while the chain starts, at one moment or another: the next one brings it up.
for wait_ms in 0 5 10 20 40 80; do
	chain "$WORK/c.yaml" hang_ms=2000
	start_run "$WORK/c.yaml" gen:flows=100,size=64,count=100000
	manager=
	while [ -z "$manager" ] && kill -0 $supervisor 2>/dev/null; do manager=$(role_pids manager); done
	sleep "$(printf '0.%03d' $wait_ms)"
	kill -9 $manager
	await_end
	settle "the manager dies ${wait_ms} ms after it is seen" "$(why out "$CLEAN" 'all(f["role"] == "manager" for f in r["failovers"])')"
done

# The manager and a replica die at once: the next manager finds out, and the chain is whole again.
for variant in active passive; do for number in 0 1; do
	begin $variant
	kill -9 $(role_pids manager) $(role_pids "edge/$number")
	await_end
	settle "$variant: the manager and edge/$number die at once" "$problem$(why out "$CLEAN" \
		'[f["restored_us"] > 0 for f in r["failovers"] if f["stage"]] == [True]')"
done; done
finish
