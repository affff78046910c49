#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Whatever is wrong: one clear line that says what and where, a status that is not 0, nothing left
# behind. Also a supervisor that is killed, and the audit log. Runs in a mount namespace of its own
# with a /dev/shm of its own, where that is permitted; of CAPTURES the first is used.
set -uo pipefail
if [ -z "${OWN_SHM:-}" ]; then
	for how in "-m" "-rm"; do
		if unshare $how mount -t tmpfs -o size=1G none /dev/shm 2>/dev/null; then
			# shellcheck disable=SC2016
			OWN_SHM=1 exec unshare $how sh -c 'mount -t tmpfs -o size=1G none /dev/shm && exec "$0"' "$0"
		fi
	done
fi
. "$(dirname "$0")/lib.sh"
set -- ${CAPTURES:?a list of captures}
capture=$1
pcap=pcap:$capture
OUT=pcap:$WORK/out.pcap
yaml=$WORK/c.yaml
export OWN_SHM=${OWN_SHM:-}

# What a run of ours left: processes, shared memory, huge pages.
left() {
	local waited=0
	while [ -n "$(roles_left)" ] && [ $waited -lt 50 ]; do sleep 0.1; waited=$((waited + 1)); done
	[ -z "$(roles_left)" ] || echo "processes $(roles_left | tr '\n' ' ')"
	[ -z "$OWN_SHM" ] || find /dev/shm -mindepth 1 | head -n 3
	awk '$3 == "hugetlbfs" { print $2 }' /proc/mounts | while read -r mount; do
		[ -z "$OWN_SHM" ] || find "$mount" -mindepth 1 -newer "$WORK/began" -name 'understudy-*' 2>/dev/null
	done
	[ ! -d "$RUN_DIR" ] || find "$RUN_DIR" -mindepth 1 ! -name lock ! -name alerts.jsonl | head -n 3
}

# refused NAME WORD... -- COMMAND...: fails with one line on stderr that has every WORD (regular expressions).
refused() {
	local name=$1 words=() problem= status left
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	touch "$WORK/began"
	timeout -k 5 60 "$UNDERSTUDY" "$@" >"$WORK/stdout" 2>"$WORK/stderr"
	status=$?
	[ $status -ne 0 ] || problem="exit status 0"
	[ $status -lt 124 ] || problem="exit status $status"
	[ "$(wc -l <"$WORK/stderr")" -eq 1 ] || problem+=" stderr has $(wc -l <"$WORK/stderr") lines"
	grep -q '^understudy: ' "$WORK/stderr" || problem+=" no line 'understudy: ...'"
	for word in "${words[@]}"; do
		grep -qE -- "$word" "$WORK/stderr" || problem+=" without '$word'"
	done
	left=$(left)
	[ -z "$left" ] || problem+=" left behind: $left"
	settle "$name" "${problem:+$problem: $(head -n 4 "$WORK/stderr" | cut -c1-300)}"
}

# run_refused NAME WORD...: a run of $yaml.
run_refused() {
	refused "$@" -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR"
}

# edited SED-EXPRESSION: the chain with a line changed.
edited() { chain "$yaml"; sed -i -e "$1" "$yaml"; }

# --- the configuration
edited '$a colour: red'; run_refused "unknown key" 'c\.yaml:[0-9]+' "unknown key 'colour'"
edited 's/^    slaves: 1/    slaves: 1\n    colour: red/'; run_refused "unknown key of a stage" 'c\.yaml:10' "'colour'"
edited 's/{inside:/{colour: red, inside:/'; run_refused "unknown setting of a VNF" 'c\.yaml:[0-9]+' "'?colour"
edited '$a chain: twice'; run_refused "duplicate key" 'c\.yaml:13' "duplicate key 'chain'"
edited 's/pool: /pool: [192.0.2.9], pool: /'; run_refused "duplicate setting of a VNF" 'c\.yaml:[0-9]+' "duplicate key 'pool'"
edited '$a hang_ms: "1\\n  2\\e[31m"'; run_refused "a value of several lines, in one" 'c\.yaml:13' "'hang_ms' is '1\?  2\?\[31m'"
edited '$a hang_ms: 1'; run_refused "number out of range" 'c\.yaml:13' "'hang_ms' is '1'" 'from 5 to 60000'
edited 's/slaves: 1/slaves: 9/'; run_refused "too many slaves" 'c\.yaml:9' "'slaves' is '9'"
edited '$a journal: 100MiB'; run_refused "journal no power of two" 'c\.yaml:13' 'power of two'
edited 's/variant: active/variant: lazy/'; run_refused "unknown choice" 'c\.yaml:8' "'variant' is 'lazy'" 'active, passive'
edited 's/pool: \[192.0.2.1\]/pool: [192.0.2.300]/'; run_refused "not an address" 'c\.yaml:[0-9]+' '192\.0\.2\.300'
edited 's/pool: \[192.0.2.1\]/pool: [10.0.0.1]/'; run_refused "pool inside" 'c\.yaml:[0-9]+' 'pool'
edited 's/, pool: \[192.0.2.1\]//'; run_refused "setting missing" 'c\.yaml:[0-9]+' 'pool'
edited 's/pool: \[192.0.2.1\]/pool: [192.0.2.1], port_high: 70000/'; run_refused "setting out of range" 'c\.yaml:[0-9]+' 'port_high' '65535'
edited '$a log: headers'; sed -i 's/clock: auto/durability: disk/; /^durability: process/d' "$yaml"; run_refused "no payloads, but a disk's promise" 'c\.yaml' "log: headers"
edited 's/name: nat,.*/name: trojan_detector, config: {inside: [10.0.0.0\/8]}}/; $a log: headers'; run_refused "no payloads for who reads them" 'c\.yaml:[0-9]+' 'reads payloads'
# of several stages, and their VNFs
chained() { chain "$yaml" example=chain-3; sed -i -e "$1" "$yaml"; }
chained 's/name: detect/name: nat/'; run_refused "two stages of one name" 'c\.yaml:[0-9]+' "called 'nat'"
chained 's/slaves: 1/slaves: 3/; $a journal: 4MiB'; sed -i 's/^loggers/  - {name: more, slaves: 3, vnfs: [{name: trojan_detector, config: {inside: [10.0.0.0\/8]}}]}\nloggers/' "$yaml"; run_refused "too many replicas" 'c\.yaml:[0-9]+' '16 replicas'
chained 's/vip: any/vip: 203.0.113.0\/24/'; run_refused "a virtual prefix" 'c\.yaml:[0-9]+' "'vip' is any, or one address"
chained 's/ports: \[80, 443\]/ports: [http]/'; run_refused "a port by name" 'c\.yaml:[0-9]+' "'ports' has 'http'"
chained 's/servers: .*/servers: [198.51.100.11, 198.51.100.11]/'; run_refused "a server twice" 'c\.yaml:[0-9]+' 'an address twice'
chained 's/servers: .*//'; run_refused "no servers" 'c\.yaml:[0-9]+' "'servers' is missing"
chained 's/name: trojan_detector, config: {/&kinds: [executables], window_s: 0, /'; run_refused "a window of no length" 'c\.yaml:[0-9]+' "'window_s'"
chained 's/name: trojan_detector, config: {/&kinds: [much_too_long_an_ending], /'; run_refused "no ending" 'c\.yaml:[0-9]+' "'kinds'"
edited '/^stages:/,$d'; run_refused "no stages" 'c\.yaml:[0-9]+' 'stages'
edited 's/^ports: .*/ports: [/'; run_refused "not YAML" 'c\.yaml:[0-9]+' 'YAML'
: >"$yaml"; run_refused "empty configuration" 'c\.yaml' 'empty'
rm -f "$yaml"; run_refused "missing configuration" 'c\.yaml' 'No such file'
chain "$yaml"
edited '$a colour: red'; refused "check says the same" 'c\.yaml:[0-9]+' "unknown key 'colour'" -- check "$yaml"

# --- the command line
chain "$yaml"
refused "unknown option" '--colour' -- run "$yaml" --colour red
refused "option without value" '--input' -- run "$yaml" --input
refused "unknown command" "'walk'" -- walk
refused "run without a chain" 'CHAIN.yaml' -- run --run-dir "$RUN_DIR"
for fault in "explode edge/master" "kill edge" "kill edge/boss" "kill edge/master @packet=0" "kill edge/master @packet=x" \
	"kill edge/master @time=-1" "kill edge/master @packet=1 more" ""; do
	refused "fault '$fault'" '--fault' 'kill\|stop STAGE' -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR" --fault "$fault"
done
refused "fault in no stage" "no stage 'core'" -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR" --fault "kill core/master"
refused "fault never reached" 'never reached' '[0-9]+ packets' -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR" --fault "kill edge/master @packet=100000000"
refused "measure of nothing" 'kills' -- measure "$yaml" --report "$WORK/m.json"
refused "measure of a capture" 'traffic that goes on' -- measure "$yaml" --kills 1 --input "$pcap" --report "$WORK/m.json"
refused "measure of a chain that does not start" 'traffic|gen:' -- measure "$yaml" --kills 1 --input gen:size=1 --output null: --report "$WORK/m.json"
refused "status without a chain" "$RUN_DIR" 'no chain runs here' -- status --run-dir "$RUN_DIR"
refused "inject without a chain" "$RUN_DIR" 'no chain runs here' -- inject "kill edge/master" --run-dir "$RUN_DIR"
refused "audit of nothing" "$WORK/nowhere" 'No such file' -- audit verify "$WORK/nowhere"
touch "$WORK/file"
refused "run directory is a file" "$WORK/file" -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$WORK/file"
refused "run directory in no directory" "$WORK/no/where" -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$WORK/no/where"
refused "report cannot be written" "$WORK/no/r.json" 'report' -- run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR" --report "$WORK/no/r.json"

# --- captures
python3 - "$WORK" <<'PY'
import struct, sys
head = lambda link: struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
frame = bytes.fromhex("020000000002020000000001") + b"\x88\xb5" + bytes(50)
packet = struct.pack("<4I", 1, 0, len(frame), len(frame)) + frame
open(sys.argv[1] + "/rawip.pcap", "wb").write(head(101) + packet)
open(sys.argv[1] + "/cut.pcap", "wb").write(head(1) + packet * 5 + packet[:30])
open(sys.argv[1] + "/cuthead.pcap", "wb").write(head(1)[:10])
open(sys.argv[1] + "/noise.pcap", "wb").write(b"not a capture\n" * 40)
open(sys.argv[1] + "/none.pcap", "wb").write(b"")
open(sys.argv[1] + "/five.pcap", "wb").write(head(1) + packet * 5)
PY
for row in "missing:No such file" "rawip:not Ethernet" "noise:not a capture" "none:not a capture" "cuthead:not a capture" "cut:cut off"; do
	refused "capture ${row%%:*}" "${row%%:*}.pcap" "${row#*:}" -- run "$yaml" --input "pcap:$WORK/${row%%:*}.pcap" --output "$OUT" --run-dir "$RUN_DIR"
done
# The packets before the cut, five, went through.
RUN_SECONDS_MAX=30 run five "$yaml" --input "pcap:$WORK/five.pcap" --output "pcap:$WORK/five-out.pcap"
settle "what came before the cut is released" "$(cmp "$WORK/five-out.pcap" "$WORK/out.pcap" 2>&1)"
mkdir -p "$WORK/dir.pcap"
refused "capture is a directory" 'dir.pcap' -- run "$yaml" --input "pcap:$WORK/dir.pcap" --output "$OUT" --run-dir "$RUN_DIR"
refused "output in no directory" "$WORK/no/out.pcap" -- run "$yaml" --input "$pcap" --output "pcap:$WORK/no/out.pcap" --run-dir "$RUN_DIR"
refused "no such device" 'net_nothing' -- run "$yaml" --input "net_nothing0" --output "$OUT" --run-dir "$RUN_DIR"
refused "bad generator" 'colour' -- run "$yaml" --input "gen:colour=3" --output null: --run-dir "$RUN_DIR"

# --- the log's directory
chain "$yaml" "dir=$WORK/file"; run_refused "log: a file in the way" "$WORK/file"
chain "$yaml" "dir=$WORK/no/where"; run_refused "log: in no directory" "$WORK/no/where"
mkdir -p "$WORK/foreign" && echo mine >"$WORK/foreign/thesis.txt"
chain "$yaml" "dir=$WORK/foreign"; run_refused "log: foreign files" "$WORK/foreign"
settle "log: foreign files are untouched" "$([ "$(cat "$WORK/foreign/thesis.txt")" = mine ] || echo gone)"
for sub in packets determinants progress; do
	rm -rf "$WORK/foreign"; mkdir -p "$WORK/foreign/$sub" && echo mine >"$WORK/foreign/$sub/thesis.txt"
	chain "$yaml" "dir=$WORK/foreign"; run_refused "log: foreign files under $sub" "$WORK/foreign/$sub"
	settle "log: foreign files under $sub are untouched" "$([ "$(ls "$WORK/foreign/$sub")" = thesis.txt ] || ls "$WORK/foreign/$sub")"
	rm -rf "$WORK/foreign"; mkdir -p "$WORK/foreign"; touch "$WORK/foreign/$sub"
	run_refused "log: $sub is a file" "$WORK/foreign/$sub"
done
rm -rf "$WORK/foreign"; mkdir "$WORK/foreign"; echo mine >"$WORK/foreign/audit.jsonl"
run_refused "log: audit.jsonl is no audit log" 'audit' "$WORK/foreign"
chain "$yaml" "dir=$WORK/other" chain=other
run other "$yaml" --input "$pcap" --output null:
chain "$yaml" "dir=$WORK/other"; run_refused "log of another chain" "$WORK/other" 'other' 'edge'

# --- memory
if [ "$(awk '/HugePages_Free/ { print $2 }' /proc/meminfo)" = 0 ]; then
	chain "$yaml" hugepages=yes; run_refused "no huge pages" 'c\.yaml' 'hugepages'
fi
if [ -n "$OWN_SHM" ]; then
	chain "$yaml" journal=16GiB; run_refused "no room in shared memory" 'room|space' '/dev/shm|shared memory'
	for size in 1M 16M 40M 70M 100M; do
		mount -t tmpfs -o size=$size none /dev/shm
		chain "$yaml"; run_refused "shared memory of $size" 'room|space' '/dev/shm|shared memory'
		umount /dev/shm
	done
else
	echo "note: no mount namespace for us: shared memory without room is not tried"
fi

# --- VNFs
chain "$yaml" vnf=nothing; run_refused "VNF missing" 'c\.yaml:[0-9]+' 'nothing'
chain "$yaml" vnf=../../etc; run_refused "VNF with a path that leads nowhere" '\.\./\.\./etc'
chain "$yaml" "vnf=$WORK/noise.pcap"; run_refused "VNF is no library" 'noise.pcap'
library=$(ldconfig -p | awk '/libz\.so/ { print $NF; exit }')
chain "$yaml" "vnf=$library"; run_refused "VNF without our symbol" "$library" 'understudy_vnf'

# --- two chains, a killed supervisor
chain "$yaml"
GEN=gen:flows=100,size=64,count=2000000000
# Started without a wrapper, so that its process is ours to kill.
start() {
	"$UNDERSTUDY" run "$yaml" --input "$GEN" --output null: --run-dir "$RUN_DIR" >"$WORK/bg.out" 2>"$WORK/bg.err" &
	supervisor=$!
	for _ in $(seq 100); do
		sleep 0.1
		"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -cE ' ready ' | grep -qx 2 && return
	done
	echo "note: the chain did not come up: $(cat "$WORK/bg.err")"
}
start
"$UNDERSTUDY" run "$yaml" --input "$pcap" --output "$OUT" --run-dir "$RUN_DIR" >"$WORK/stdout" 2>"$WORK/stderr"
status=$?
settle "run directory in use" "$([ $status -eq 1 ] && [ "$(wc -l <"$WORK/stderr")" -eq 1 ] &&
	grep -q "^understudy: $RUN_DIR: another chain runs here" "$WORK/stderr" || cat "$WORK/stderr")"
"$UNDERSTUDY" inject "kill core/master" --run-dir "$RUN_DIR" >"$WORK/stdout" 2>"$WORK/stderr"
status=$?
settle "inject into no stage" "$([ $status -ne 0 ] && [ "$(wc -l <"$WORK/stderr")" -eq 1 ] || echo "$status: $(cat "$WORK/stderr")")"
settle "the first chain is not touched" "$("$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>&1 | grep -q ' ready ' || echo gone)"
kill -9 $supervisor
{ wait $supervisor; } 2>/dev/null
for _ in $(seq 50); do [ -z "$(roles_left)" ] && break; sleep 0.1; done
settle "supervisor killed: the roles are gone" "$(roles_left | tr '\n' ' ')"
"$UNDERSTUDY" status --run-dir "$RUN_DIR" >"$WORK/stdout" 2>"$WORK/stderr"
status=$?
settle "supervisor killed: status says that no chain runs" "$([ $status -ne 0 ] && [ "$(wc -l <"$WORK/stderr")" -eq 1 ] ||
	echo "exit status $status: $(head -n 2 "$WORK/stdout" "$WORK/stderr" | tr '\n' ' ')")"
"$UNDERSTUDY" inject "kill edge/master" --run-dir "$RUN_DIR" >"$WORK/stdout" 2>"$WORK/stderr"
status=$?
settle "supervisor killed: inject says that no chain runs" "$([ $status -ne 0 ] && grep -q 'no chain runs here' "$WORK/stderr" ||
	echo "exit status $status: $(cat "$WORK/stderr")")"
rm -rf "$WORK/log"
run again "$yaml" --input "$pcap" --output "$OUT"
settle "supervisor killed: the next run works" "$(why again "$CLEAN")"
settle "supervisor killed: the next run leaves nothing" "$(left)"
start
kill -TERM $supervisor
wait $supervisor
status=$?
settle "SIGTERM ends a run" "$([ $status -eq 0 ] || echo "exit status $status: $(cat "$WORK/bg.err")")"
settle "SIGTERM leaves nothing" "$(left)"

# --- the audit log
rm -rf "$WORK/log"
run audited "$yaml" --input "$pcap" --output "$OUT" --fault "kill edge/master @packet=1"
log=$WORK/log/audit.jsonl
settle "audit ls" "$("$UNDERSTUDY" audit ls "$WORK/log" 2>&1 | grep -qE 'audit.jsonl: [0-9]+ events' || echo "not listed")"
settle "audit show" "$([ "$("$UNDERSTUDY" audit show "$log" | wc -l)" -eq "$(wc -l <"$log")" ] || echo "not all lines")"
settle "audit verify" "$("$UNDERSTUDY" audit verify "$WORK/log" 2>&1 | grep -q 'whole' || echo "not whole")"
settle "audit verify --json" "$("$UNDERSTUDY" audit verify "$log" --json | python3 -c 'import json,sys; print("" if json.load(sys.stdin)["valid"] else "not valid")')"
# Every byte of some lines, one at a time, and lines taken out, doubled, swapped, cut.
why_not=$(python3 - "$UNDERSTUDY" "$log" "$WORK/forged.jsonl" <<'PY'
import subprocess, sys
program, log, forged = sys.argv[1:]
good = open(log, "rb").read()
lines = good.splitlines(keepends=True)
forgeries = {f"byte {at}": good[:at] + bytes([good[at] ^ bit]) + good[at + 1:]
    for at in range(0, len(good), max(1, len(good) // 200)) for bit in (1, 32)}
forgeries |= {"first line out": b"".join(lines[1:]), "middle line out": b"".join(lines[:2] + lines[3:]),
    "line twice": b"".join(lines[:2] + lines[1:]), "swapped": b"".join([lines[1], lines[0]] + lines[2:]),
    "end cut": good[:-20], "no newline at the end": good[:-1], "line added": good + b"{}\n", "noise added": good + b"x"}
for name, data in forgeries.items():
    open(forged, "wb").write(data)
    run = subprocess.run([program, "audit", "verify", forged], capture_output=True, text=True)
    if run.returncode != 1 or len(run.stderr.splitlines()) != 1 or not run.stderr.startswith(f"understudy: {forged}:"):
        print(f"{name}: status {run.returncode}, {run.stderr[:120]!r};", end=" ")
PY
)
settle "audit verify finds every change" "$why_not"
settle "a run does not write to a forged log" "$(cp "$WORK/forged.jsonl" "$log"
	run forged "$yaml" --input "$pcap" --output "$OUT"
	[ "$STATUS" -ne 0 ] && grep -q audit "$WORK/forged.err" || echo "status $STATUS: $(cat "$WORK/forged.err")")"
finish
