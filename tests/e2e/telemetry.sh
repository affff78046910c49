#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# What a running chain tells by DPDK's telemetry protocol, asked with DPDK's own tool, and by status: the same;
# and that nothing of it is left.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

command -v dpdk-telemetry.py >/dev/null || skip "dpdk-telemetry.py is not installed (package dpdk-dev)"
chain "$WORK/c.yaml" 'workers=[2, 1]' 'strategy=[unstructured-chain-eager, auto]' dir="$WORK/log"
"$UNDERSTUDY" run "$WORK/c.yaml" --input gen:flows=1000,rate=20000 --output null: --run-dir "$RUN_DIR" \
	>"$WORK/run.out" 2>"$WORK/run.err" &
pid=$!
for _ in $(seq 100); do
	"$UNDERSTUDY" status --json --run-dir "$RUN_DIR" >"$WORK/status.json" 2>/dev/null &&
		python3 -c 'import json,sys; s=json.load(open(sys.argv[1])); sys.exit(s["packets"]["released"] < 20000)' "$WORK/status.json" && break
	sleep 0.2
done

# ask COMMAND: what dpdk-telemetry.py prints of it.
ask() { RUNTIME_DIRECTORY="$RUN_DIR" timeout 10 dpdk-telemetry.py -f understudy <<<"$1" 2>&1; }

# told COMMAND EXPRESSION: of a, its answer.
told() {
	settle "$1" "$(ask "$1" | python3 -c '
import json, sys
command, wanted = sys.argv[1:]
for line in sys.stdin.read().splitlines():
    try:
        found = json.loads(line)
    except ValueError:
        continue
    a = found.get(command.split(",")[0]) if isinstance(found, dict) else None
    if a is not None:
        print("" if eval(wanted) else f"it says {a}"[:300])
        break
else:
    print("no answer")' "$1" "$2")"
}

told / '"/understudy/engine" in a'
told /info 'a["max_output_len"] > 1024'
told /help,/understudy/engine '"model" in a["/understudy/engine"]'
told /understudy/status 'a["chain"] == "nat-demo" or len(a["replicas"]) == 2'
told /understudy/engine 'a["edge/0"]["workers"] == 2 and a["edge/0"]["batches/team"] > 0 and a["edge/1"] == {"workers": 1}'
told /understudy/vnfs 'a["edge"]["nat/outbound"] > 0'
"$UNDERSTUDY" status --run-dir "$RUN_DIR" >"$WORK/status.txt"
settle "status tells it to people" "$(grep -q 'engine: workers 2 .*batches/team [1-9]' "$WORK/status.txt" || cat "$WORK/status.txt")"
# One client stays and says nothing, another asks on and on and never reads: neither keeps others from being served, nor
# the run from its end.
python3 -c '
import socket, sys, time
place = sys.argv[1] + "/dpdk/understudy/dpdk_telemetry.v2"
clients = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
for client in clients:
    client.connect(place)
try:
    while True:
        clients[1].send(b"/understudy/status")
except OSError:
    time.sleep(30)' "$RUN_DIR" &
client=$!
sleep 1
told /understudy/status 'len(a["replicas"]) == 2'
kill -INT $pid
wait $pid
settle "the run ends well" "$([ $? -eq 0 ] || cat "$WORK/run.err")"
kill $client 2>/dev/null
settle "nothing is left" "$(find "$RUN_DIR" -name '*dpdk*' 2>/dev/null)"
finish
