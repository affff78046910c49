#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Installs, builds, and runs the main job: a NAT on a real capture whose master is killed in
# mid-stream. Leaves the program at build/understudy.
set -euo pipefail
cd "$(dirname "$0")/.."

capture=tests/traces/office.pcap
chain=deploy/examples/nat.yaml

deploy/packages.sh build
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
ninja -C build | tail -n 1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed "s|dir: ./log|dir: $work/log|" "$chain" >"$work/nat.yaml"
run() { build/understudy run "$work/nat.yaml" --run-dir "$work/run" --input "pcap:$capture" "$@"; }

echo
echo "== The NAT without protection: what an uninterrupted run gives"
run --unprotected --output "pcap:$work/expected.pcap" --report "$work/unprotected.json"
middle=$(sed -n 's/.*"admitted": \([0-9]*\).*/\1/p' "$work/unprotected.json" | head -n 1)
middle=$((middle / 2))

echo
echo "== The protected NAT: its master is killed at packet $middle, a slave carries on"
run --output "pcap:$work/protected.pcap" --fault "kill edge/master @packet=$middle" \
	--report "$work/protected.json"

echo
echo "== What came out"
if cmp "$work/expected.pcap" "$work/protected.pcap"; then
	echo "EQUAL: the output of the run whose master was killed is byte for byte that of the uninterrupted run"
else
	echo "DIFFERENT: the outputs differ"
	exit 1
fi
build/understudy audit verify "$work/log"
build/understudy audit show "$work/log"
