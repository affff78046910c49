#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Draws docs/cost-by-flows.svg (CPU a packet against flows) and docs/outage-by-state.svg (outage and time to
# redundancy against state), and prints what they show. Takes some ten minutes on two cores.
#   tests/bench/curves.sh [BENCH.json]    the result of bench_pipeline --json; made if not given
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bench=${1:-$work/bench.json}
[ -e "$bench" ] || build/bench_pipeline --json "$bench"
for flows in 1000 10000 100000 1000000; do
	cat >"$work/chain.yaml" <<-EOF
		chain: curve
		ports: [{id: 0, dev: "gen:flows=$flows,size=64"}, {id: 1, dev: "null:"}]
		stages:
		  - name: edge
		    vnfs: [{name: nat, config: {inside: [10.0.0.0/8], pool: [192.0.2.0/24], capacity: $((flows < 50000 ? 65536 : flows * 2))}}]
		loggers: {dir: $work/log}
	EOF
	build/understudy measure "$work/chain.yaml" --kills 140 --report "$work/$flows.json" >/dev/null ||
		echo "$flows flows: left out"
done
python3 - "$bench" "$work" <<'PY'
import json, math, os, sys

bench, work = json.load(open(sys.argv[1])), sys.argv[2]
FLOWS = (1000, 10000, 100000, 1000000)
POINTS = ("64 B, 1 k flows, NAT", "10 k flows", "100 k flows", "1 M flows")
COLOURS = ("#2471a3", "#c0392b", "#1e8449", "#7d3c98")
WIDTH, HEIGHT, LEFT, BOTTOM = 640, 320, 70, 40


def draw(path, title, unit, curves):
    """Both axes logarithmic; curves: name -> values at FLOWS."""
    values = [v for each in curves.values() for v in each if v > 0]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    x = lambda flows: LEFT + (math.log10(flows) - 3) / 3 * (WIDTH - LEFT - 150)
    y = lambda v: HEIGHT - BOTTOM - (math.log10(v) - low) / (high - low) * (HEIGHT - BOTTOM - 30)
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='11'>",
           f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/><text x='{LEFT}' y='18' font-size='13'>{title}</text>"]
    for power in range(low, high + 1):
        at = y(10 ** power)
        out.append(f"<line x1='{LEFT}' x2='{x(1e6):.0f}' y1='{at:.0f}' y2='{at:.0f}' stroke='#ddd'/>"
                   f"<text x='{LEFT - 6}' y='{at + 4:.0f}' text-anchor='end'>{10 ** power:g} {unit}</text>")
    for flows in FLOWS:
        out.append(f"<text x='{x(flows):.0f}' y='{HEIGHT - BOTTOM + 18}' text-anchor='middle'>{flows:,} flows</text>")
    for (name, each), colour in zip(curves.items(), COLOURS):
        points = " ".join(f"{x(f):.1f},{y(v):.1f}" for f, v in zip(FLOWS, each) if v > 0)
        out.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>"
                   f"<text x='{x(FLOWS[len(each) - 1]) + 6:.0f}' y='{y(each[-1]) + 4:.0f}' fill='{colour}'>{name}</text>")
        print(f"  {name:28}" + "".join(f"{v:12.1f}" for v in each))
    open(path, "w").write("\n".join(out) + "\n</svg>\n")


print("CPU in ns a packet, by flows: " + ", ".join(f"{f:,}" for f in FLOWS))
draw("docs/cost-by-flows.svg", "CPU a packet, all processes", "ns",
     {mode: [bench[p][mode]["cpu_ns"] for p in POINTS] for mode in ("bare", "unprotected", "process", "disk")})
runs = [json.load(open(f"{work}/{f}.json")) for f in FLOWS if os.path.exists(f"{work}/{f}.json")]
print("at a kill, in us, by flows")
draw("docs/outage-by-state.svg", "At a master's death, median of some 15 kills", "us",
     {name: [run["components"]["edge/master"][key][q] for run in runs] for name, key, q in (
         ("outage", "outage_us", "p50"), ("first release", "first_release_us", "p50"),
         ("detection", "detect_us", "p50"), ("redundancy restored", "restored_us", "p50"))})
PY
