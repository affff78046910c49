#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# equivalence.sh, pairwise, over every Ethernet capture of ../shared/traces (or TRACES), 2 at a time
# (or JOBS). Takes minutes; not part of the test run. PAIRWISE_RUNS (1) runs a capture. Leaves failures
# in RESULTS, a folder, if given. EXAMPLE as for equivalence.sh. Last line: "N passed, N failed".
set -uo pipefail
. "$(dirname "$0")/lib.sh"
traces=$(realpath "${TRACES:-$ROOT/../shared/traces}")
results=${RESULTS:-$WORK/results}
mkdir -p "$results"
rm -f "$results"/part.*

# The captures by MANIFEST.tsv: by name, not those that are not Ethernet.
awk -F'\t' -v root="$traces" 'NR > 1 && !/NOT Ethernet/ && $1 ~ /\.(pcap|pcapng|cap|trace|dump)(\.gz)?$/ {
	print root "/" $1 }' "$traces/MANIFEST.tsv" >"$WORK/list"
total=$(wc -l <"$WORK/list")
echo "$total Ethernet captures of $(awk 'END { print NR - 1 }' "$traces/MANIFEST.tsv") files in the manifest; not Ethernet: $(grep -c 'NOT Ethernet' "$traces/MANIFEST.tsv")"

export UNDERSTUDY results EXAMPLE=${EXAMPLE:-nat} PAIRWISE=1 PAIRWISE_RUNS=${PAIRWISE_RUNS:-1} JOURNAL=${JOURNAL:-8MiB}
# shellcheck disable=SC2016
xargs -a "$WORK/list" -P "${JOBS:-2}" -n 10 bash -c '
	CAPTURES="$*" "'"$E2E"'/equivalence.sh" >"$results/part.$$" 2>&1
	echo "$(cat "$results"/part.* | grep -cE "^(ok|FAIL) ") runs, $(cat "$results"/part.* | grep -c "^FAIL ") failed" ' all

cat "$results"/part.* | grep -E '^(FAIL|note) '
passed=$(cat "$results"/part.* | grep -c '^ok ')
failed=$(cat "$results"/part.* | grep -c '^FAIL ')
broken=$(grep -LE '^[0-9]+ passed, [0-9]+ failed$' "$results"/part.* | wc -l)
[ "$broken" -eq 0 ] || bad "parts that came to no end" "$broken"
echo "$total captures, $((passed + failed)) runs"
finish
