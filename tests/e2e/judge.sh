#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# For each of CAPTURES, the output of a protected run with a kill in its middle, judged by tshark and
# by bindings found from outside (judge.py); and replies sent to the pool, translated back (replies.py).
set -uo pipefail
. "$(dirname "$0")/lib.sh"
PREFIXES=(--inside 10.0.0.0/8 --inside 192.168.0.0/16 --inside 172.16.0.0/12)
POOL=192.0.2.1

# through NAME IN OUT: a protected run with the master killed in the middle.
through() {
	local count
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml"
	run "$1-ref" "$WORK/c.yaml" --input "pcap:$2" --output null: --unprotected
	[ "$STATUS" -eq 0 ] || { bad "$1" "unprotected: $(tail -n 1 "$WORK/$1-ref.err")"; return 1; }
	count=$(value "$1-ref" 'r["packets"]["admitted"]')
	run "$1" "$WORK/c.yaml" --input "pcap:$2" --output "pcap:$3" --fault "kill edge/master @packet=$(((count + 1) / 2))"
	settle "$1 through a failover" "$(why "$1" "$CLEAN" 'len(r["failovers"]) == 1')"
	[ "$STATUS" -eq 0 ]
}

for capture in ${CAPTURES:?a list of captures}; do
	name=$(basename "$capture")
	through "$name" "$capture" "$WORK/out.pcap" || continue
	if python3 "$E2E/judge.py" "$capture" "$WORK/out.pcap" "${PREFIXES[@]}" --pool $POOL --bindings "$WORK/bindings"; then
		ok "$name checksums and bindings"
	else
		bad "$name checksums and bindings" "see above"
	fi
	if ! python3 "$E2E/replies.py" rewrite "$capture" "$WORK/bindings" "$WORK/replies.pcap"; then
		echo "note $name: no replies to translate back"
		continue
	fi
	through "$name, replies to the pool" "$WORK/replies.pcap" "$WORK/back.pcap" || continue
	if python3 "$E2E/replies.py" check "$capture" "$WORK/replies.pcap" "$WORK/back.pcap"; then
		ok "$name replies translated back"
	else
		bad "$name replies translated back" "see above"
	fi
done
finish
