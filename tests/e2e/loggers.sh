#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Loggers that are killed or stopped in the middle of a run, with and without a replica, and a disk that is full
# for a while: the run goes on, nothing is lost, and what is logged has no gap where it is to survive power loss.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
COUNT=${COUNT:-3000000}
disk=$WORK/disk
trap 'mountpoint -q "$disk" && umount "$disk"; clean_up' EXIT

# begin KEY=VALUE...: starts a run, and waits until some packets are through.
begin() {
	chain "$WORK/c.yaml" fold_batches=16 retention=64MiB hang_ms=1000 "$@"
	start_run "$WORK/c.yaml" "gen:flows=1000,size=64,count=$COUNT"
	await_released $((COUNT / 10)) || problem="it never released so many; "
}

# The kernel keeps 15 bytes of a process's name.
logger_pid() { role_pids "$(printf '%.15s' "logger/$1")"; }

# The figure of status's first line: 1 in, 2 released.
packets() {
	"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | sed -nE '1s/.*: ([0-9]+) packets in, ([0-9]+) released.*/\'"$1"'/p'
}

await_released() {
	local released
	while kill -0 $supervisor 2>/dev/null; do
		released=$(packets 2)
		[ "${released:-0}" -ge "$1" ] && return 0
		sleep 0.02
	done
	return 1
}

for durability in process disk; do
	gaps=True long=$((COUNT * 5)) # without fsyncs it is quick: so long that all loggers are found in time
	[ $durability = disk ] && gaps='r["log"]["gaps"] == 0' long=$COUNT
	for logger in packets determinants progress; do for signal in KILL STOP; do
		begin "durability=$durability"
		kill -$signal $(logger_pid $logger) || problem+="no $logger logger; "
		await_end
		settle "$durability: the $logger logger gets SIG$signal" "$problem$(why out "$CLEAN" "$gaps" \
			'[f["role"] for f in r["failovers"]] == ["logger"]' 'r["failovers"][0]["restored_us"] > 0' \
			"{k: v for k, v in r['log']['restarts'].items() if v} == {'$logger': 1}" 'r["log"]["folds"] > 0')"
	done; done
	for role in edge/0 edge/1; do
		begin "durability=$durability"
		kill -9 $(logger_pid determinants) $(role_pids $role) || problem+="nobody to kill; "
		await_end
		settle "$durability: the determinant logger and $role die at once" "$problem$(why out "$CLEAN" "$gaps" \
			'len(r["failovers"]) > 0' 'all(f["restored_us"] > 0 for f in r["failovers"])' \
			'r["log"]["restarts"]["determinants"] == 1')"
	done
	COUNT=$long begin "durability=$durability"
	pids="$(logger_pid determinants) $(logger_pid packets) $(logger_pid progress) $(role_pids manager)"
	kill -9 $pids || problem+="not all were there; "
	await_end
	settle "$durability: all loggers and the manager die at once" "$problem$(why out "$CLEAN" "$gaps" \
		'all(f["role"] in ("logger", "manager") for f in r["failovers"])' 'r["log"]["folds"] > 0')"
done

# A disk that others fill up: admission stands still, and goes on when there is room.
mkdir "$disk"
if mount -t tmpfs -o size=700m understudy-e2e "$disk" 2>/dev/null; then
	begin durability=disk "dir=$disk/log" retention=4MiB
	head -c 700M /dev/zero >"$disk/filler" 2>/dev/null
	for _ in $(seq 300); do
		"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -q 'packets logger was started again' && break
		sleep 0.1
	done
	sleep 1
	before=$(packets 2)
	sleep 1
	[ -n "$before" ] && [ "$before" = "$(packets 2)" ] || problem+="it goes on though the disk is full; "
	[ "$before" -lt "$COUNT" ] || problem+="it was over before the disk was full; "
	rm "$disk/filler"
	await_end
	"$UNDERSTUDY" audit verify "$disk/log/audit.jsonl" >"$WORK/verified" 2>&1 || problem+="$(cat "$WORK/verified"); "
	settle "the disk is full for a while" "$problem$(why out "$CLEAN" 'r["log"]["gaps"] == 0' \
		'r["log"]["restarts"]["packets"] > 0')"
else
	echo "NOT RUN: a full disk: a file system of its own cannot be mounted here"
fi
finish
