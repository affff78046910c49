#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Instructions a packet, by function, counted by callgrind: the same on every machine with the same compiler,
# whatever else runs. instructions.sh [CHAIN.yaml]; prints a table for docs/SPEED.md. Needs valgrind.
set -euo pipefail
cd "$(dirname "$0")/../.."
chain=${1:-deploy/examples/bench.yaml}
packets=200000
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for mode in bare unprotected protected; do
	valgrind --tool=callgrind --callgrind-out-file="$work/$mode" --toggle-collect=measured --toggle-collect=measured_bare \
		build/bench_instructions "$chain" $mode $packets >"$work/$mode.out" 2>&1 || { cat "$work/$mode.out"; exit 1; }
	callgrind_annotate --auto=no --tree=none --threshold=100 "$work/$mode" >"$work/$mode.txt"
done
python3 - "$work" $packets <<'PY'
import re, sys

work, packets = sys.argv[1], int(sys.argv[2])
modes = ("bare", "unprotected", "protected")
counts, totals = {}, {}
for mode in modes:
    for line in open(f"{work}/{mode}.txt"):
        found = re.match(r"\s*([\d,]+) \(\s*[\d.]+%\)\s+(.*)", line)
        if not found:
            continue
        instructions, name = int(found[1].replace(",", "")), found[2]
        if "PROGRAM TOTALS" in name:
            totals[mode] = instructions
            continue
        name = re.sub(r" \[.*", "", name.split(":", 1)[-1]).replace("'2", "")
        name = re.sub(r"\.(constprop|lto_priv|isra|part)\.\d+", "", name)
        counts.setdefault(name, dict.fromkeys(modes, 0))[mode] += instructions
print("| function | " + " | ".join(modes) + " |\n|---|---|---|---|")
for name, each in sorted(counts.items(), key=lambda item: -item[1]["protected"] - item[1]["bare"]):
    if max(each.values()) >= packets:
        print(f"| `{name}` | " + " | ".join(f"{each[m] / packets:.0f}" if each[m] else "" for m in modes) + " |")
print("| all | " + " | ".join(f"{totals[m] / packets:.0f}" for m in modes) + " |")
PY
