# SPDX-License-Identifier: BSD-3-Clause
# For the end-to-end scripts: source it. Needs UNDERSTUDY (the program) or build/understudy, and for
# most scripts CAPTURES (files). Everything lies under one temporary folder, the run directories too.
export LC_ALL=C

E2E=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$E2E/../.." && pwd)
UNDERSTUDY=$(realpath "${UNDERSTUDY:-$ROOT/build/understudy}")
RUN_SECONDS_MAX=${RUN_SECONDS_MAX:-120}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}

passed=0
failed=0
WORK=$(mktemp -d -t understudy-e2e.XXXXXX)
RUN_DIR=$WORK/run

clean_up() { [ -n "${KEEP:-}" ] && echo "kept: $WORK" >&2 || rm -rf "$WORK"; }
trap clean_up EXIT

ok() { echo "ok $1"; passed=$((passed + 1)); }
bad() { echo "FAIL $1: $2"; failed=$((failed + 1)); }
# skip WHY: nothing is tested where the machine does not allow it; said, not hidden.
skip() { echo "NOT RUN: $1"; finish; }
finish() { printf '%d passed, %d failed\n' "$passed" "$failed"; [ "$failed" -eq 0 ]; exit; }

# settle NAME WHY: ok if WHY is empty.
settle() { if [ -z "$2" ]; then ok "$1"; else bad "$1" "$2"; fi; }

# chain FILE [KEY=VALUE]...: an example chain, nat unless example=NAME, with values replaced. variant, slaves,
# homes, workers, strategy, dir, retention, fold_batches, vnf, pool, inside, chain go where they belong, all else to the top.
chain() {
	local file=$1 dir=$WORK/log example=nat pair key value top='' edits=()
	shift
	for pair in "$@"; do
		key=${pair%%=*} value=${pair#*=}
		case $key in
		variant | slaves | durability | chain | clock | retention)
			edits+=(-e "s|\\b$key: [A-Za-z0-9_-]*|$key: $value|") ;;
		workers | strategy) edits+=(-e "s|    slaves:|    $key: $value\n    slaves:|") ;;
		homes) edits+=(-e "s|    slaves:|    homes: $value\n    slaves:|") ;;
		dir) dir=$value ;;
		example) example=$value ;;
		inside) edits+=(-e "s|inside: \\[[^]]*\\]|inside: $value|") ;;
		fold_batches) edits+=(-e "s|, retention:|, fold_batches: $value, retention:|") ;;
		vnf) edits+=(-e "s|name: nat,|name: \"$value\",|") ;;
		pool) edits+=(-e "s|pool: \\[[^]]*\\]|pool: $value|") ;;
		*) top+="$key: $value"$'\n' ;;
		esac
	done
	{ sed "${edits[@]}" -e "s|dir: \\./log|dir: $dir|" "$ROOT/deploy/examples/$example.yaml"; printf '%s' "$top"; } >"$file"
}

# run NAME CHAIN.yaml [OPTION]...: leaves $WORK/NAME.out, .err, .json (the report), and STATUS.
run() {
	local name=$1
	shift
	rm -f "$WORK/$name.json"
	timeout -k 5 "$RUN_SECONDS_MAX" "$UNDERSTUDY" run "$@" --run-dir "$RUN_DIR" \
		--report "$WORK/$name.json" >"$WORK/$name.out" 2>"$WORK/$name.err"
	STATUS=$?
}

# start_run CHAIN.yaml TRAFFIC [OPTION]...: a run in the background, whose pid is $supervisor; await_end leaves STATUS and the
# report out.json.
start_run() {
	local chain=$1 traffic=$2
	shift 2
	rm -rf "$WORK/log" "$WORK/out.json"
	timeout -k 5 "$RUN_SECONDS_MAX" "$UNDERSTUDY" run "$chain" --input "$traffic" --output null: "$@" --run-dir "$RUN_DIR" \
		--report "$WORK/out.json" >"$WORK/out.out" 2>"$WORK/out.err" &
	supervisor=$!
	problem=
}
await_end() {
	wait $supervisor
	STATUS=$?
}

# until_ready [SECONDS]: until both replicas of its one stage are.
until_ready() {
	for _ in $(seq $((${1:-10} * 20))); do
		"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -c ' ready ' | grep -qx 2 && return 0
		kill -0 $supervisor 2>/dev/null || break
		sleep 0.05
	done
	return 1
}

# replica_pid master|slave: of its one stage.
replica_pid() { "$UNDERSTUDY" status --run-dir "$RUN_DIR" | sed -n "s/.* $1 .*pid \([0-9]*\)\$/\1/p"; }

# why NAME EXPRESSION...: what of the report r is not as each Python expression says; empty if all hold.
why() {
	local name=$1
	shift
	if [ "$STATUS" -ne 0 ]; then
		echo "exit status $STATUS: $(tail -n 1 "$WORK/$name.err")"
		return
	fi
	python3 - "$WORK/$name.json" "$@" <<'PY' || echo "the report cannot be judged"
import json, sys
r = json.load(open(sys.argv[1]))
not_so = [e for e in sys.argv[2:] if not eval(e)]
if not_so:
    shown = {k: r[k] for k in ("packets", "lost", "duplicated", "reordered", "unexpected",
        "digest_mismatches", "digests_compared", "log")}
    shown["failovers"] = r["failovers"][:4]
    print("not so: " + "; ".join(not_so) + " in " + json.dumps(shown))
PY
}

# value NAME EXPRESSION: of the report r.
value() { python3 -c 'import json,sys; r = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' "$WORK/$1.json" "$2"; }

# reference CAPTURE CHAIN.yaml: the unprotected run ref, which others are compared with; its packets in $count.
reference() {
	rm -rf "$WORK/log"
	run ref "$2" --input "pcap:$1" --output "pcap:$WORK/ref.pcap" --unprotected
	cp "$RUN_DIR/alerts.jsonl" "$WORK/ref.jsonl"
	count=$(value ref 'r["packets"]["admitted"]')
}

# Output, alarms and the VNFs' figures of the run out are those of the reference; else what is not.
same() {
	cmp -s "$WORK/ref.pcap" "$WORK/out.pcap" || echo -n "the output differs; "
	cmp -s "$WORK/ref.jsonl" "$RUN_DIR/alerts.jsonl" || echo -n "the alarms differ; "
	[ "$(value ref 'r["vnfs"]')" = "$(value out 'r["vnfs"]')" ] || echo -n "what the VNFs show differs; "
}

# What is true of every protected run's report.
CLEAN='all(r[k] == 0 for k in ("lost", "duplicated", "reordered", "digest_mismatches")) and not r["unexpected"]'

# The processes of our run directory: all of them, or those of a role such as manager or edge/0.
role_pids() {
	python3 - "$RUN_DIR" "${1:-}" <<'PY'
import glob, os, sys
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        words = open(path, "rb").read().decode("utf-8", "replace").split("\0")
    except OSError:
        continue
    if len(words) > 2 and os.path.basename(words[0]) == "understudy" and sys.argv[1] in words \
            and sys.argv[2] in ("", words[1], open(path.replace("cmdline", "comm")).read().strip()):
        print(path.split("/")[2])
PY
}
roles_left() { role_pids; }
