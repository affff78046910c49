#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The same run on huge pages, which this test reserves and mounts for itself, and in ordinary memory.
# Needs root; the number of reserved pages is put back.
set -uo pipefail
if [ -z "${IN_NAMESPACE:-}" ] && unshare -m true 2>/dev/null; then
	IN_NAMESPACE=1 exec unshare -m "$0" "$@"
fi
. "$(dirname "$0")/lib.sh"
[ -n "${IN_NAMESPACE:-}" ] || skip "a mount namespace cannot be made here: run as root"
PAGES=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
before=$(cat $PAGES) && echo "$before" >$PAGES || skip "huge pages cannot be reserved here"
trap 'umount "$WORK/huge" 2>/dev/null; echo "$before" >$PAGES; clean_up' EXIT

mkdir "$WORK/huge"
echo $((before + 64)) >$PAGES
if [ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages)" -lt 32 ] ||
	! mount -t hugetlbfs -o pagesize=2M none "$WORK/huge"; then
	skip "64 huge pages of 2 MiB are needed, this machine gives fewer"
fi
capture=${CAPTURES%% *}
for pages in yes no; do
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" journal=8MiB hugepages=$pages
	"$UNDERSTUDY" run "$WORK/c.yaml" --run-dir "$RUN_DIR" --report "$WORK/$pages.json" --input "pcap:$capture" \
		--output "pcap:$WORK/$pages.pcap" --fault 'kill edge/master @packet=1000' >"$WORK/$pages.out" 2>"$WORK/$pages.err" &
	supervisor=$!
	seen=0
	while kill -0 $supervisor 2>/dev/null; do
		found=$(find "$WORK/huge" -name '*.ring' | wc -l)
		[ "$found" -gt "$seen" ] && seen=$found
	done
	wait $supervisor
	STATUS=$?
	settle "hugepages: $pages" "$(why $pages "$CLEAN" 'len(r["failovers"]) == 1')"
	if [ $pages = yes ]; then
		settle "the journals lie in huge pages" "$([ "$seen" -ge 3 ] || echo "only $seen do")"
		settle "nothing is left there" "$(find "$WORK/huge" -mindepth 1)"
	else
		settle "no journal lies in huge pages" "$([ "$seen" -eq 0 ] || echo "$seen do")"
	fi
done
settle "the outputs are equal" "$(cmp "$WORK/yes.pcap" "$WORK/no.pcap" 2>&1)"
finish
