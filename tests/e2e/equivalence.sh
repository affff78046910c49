#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The output of a protected run with a fault in it is the output of the unprotected one, byte for byte:
# for each of CAPTURES, every {active, passive} x {process, disk} x {kill, stop} x {master, slave}
# x packet {1, N/3, N/2, N}. PAIRWISE=1: PAIRWISE_RUNS (3) of the 8 rows that cover all pairs of
# these, chosen by the capture's name. JOURNAL: size of the journals. EXAMPLE: nat (default), chain or
# chain-3, whose stages take turns.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
HANG_MS=100
journal=${JOURNAL:+journal=$JOURNAL}
example=${EXAMPLE:-nat}
stages=(edge)
[ "$example" = chain-3 ] && stages=(nat balance detect)
turn=0

variants=(active passive) durabilities=(process disk) faults=(kill stop) roles=(master slave)
# Which value of variant, durability, fault, role, packet; every pair of values is in some row.
rows=("0 0 0 0 0" "1 1 1 1 0" "0 0 1 1 1" "1 1 0 0 1" "0 1 0 1 2" "1 0 1 0 2" "0 1 1 0 3" "1 0 0 1 3")

# one CAPTURE VARIANT DURABILITY [FAULT ROLE PACKET]: reference is in $WORK/ref.pcap.
one() {
	local capture=$1 variant=$2 durability=$3 name problem claims options=()
	name="$(basename "$capture") $*"
	name=${name/ $capture/}
	claims=("$CLEAN")
	if [ $# -eq 6 ]; then
		options=(--fault "$4 ${stages[turn++ % ${#stages[@]}]}/$5 @packet=$6")
		claims+=('len(r["failovers"]) == 1' 'r["failovers"][0]["detect_us"] > 0'
			"r['failovers'][0]['fault'] == '$4'" "r['failovers'][0]['role'] == '$5'"
			"r['failovers'][0]['at_packet'] == $6")
		# hang_ms runs from the last progress, on a loaded machine some ms before the signal.
		[ "$4" = stop ] && claims+=("r['failovers'][0]['detect_us'] >= $((HANG_MS * 1000 / 2))")
	fi
	rm -rf "$WORK/log" "$WORK/out.pcap"
	chain "$WORK/c.yaml" "example=$example" "variant=$variant" "durability=$durability" "hang_ms=$HANG_MS" $journal
	run out "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/out.pcap" "${options[@]}"
	if [ "$reference_status" -ne 0 ]; then
		problem=
		[ "$STATUS" -eq "$reference_status" ] || problem="exit status $STATUS, unprotected $reference_status"
	else
		problem=$(why out "${claims[@]}")
	fi
	[ -n "$problem" ] || cmp -s "$WORK/ref.pcap" "$WORK/out.pcap" || problem="the output differs from the unprotected one"
	settle "$name" "$problem"
}

for capture in ${CAPTURES:?a list of captures}; do
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" "example=$example" $journal
	run ref "$WORK/c.yaml" --input "pcap:$capture" --output "pcap:$WORK/ref.pcap" --unprotected
	reference_status=$STATUS
	count=0
	[ "$STATUS" -eq 0 ] && count=$(value ref 'r["packets"]["admitted"]')
	if [ "$count" -eq 0 ]; then
		[ "$STATUS" -ne 0 ] && echo "note $(basename "$capture"): unprotected: $(tail -n 1 "$WORK/ref.err")"
		one "$capture" active process
		continue
	fi
	packets=(1 $(((count + 2) / 3)) $(((count + 1) / 2)) "$count")
	if [ -n "${PAIRWISE:-}" ]; then
		row=$(cksum <<<"$(basename "$capture")" | cut -d' ' -f1)
		turn=$((row / 8))
		for ((i = 0; i < ${PAIRWISE_RUNS:-3}; i++)); do
			read -r v d f r p <<<"${rows[(row + 3 * i) % 8]}"
			one "$capture" "${variants[v]}" "${durabilities[d]}" "${faults[f]}" "${roles[r]}" "${packets[p]}"
		done
		continue
	fi
	for variant in "${variants[@]}"; do for durability in "${durabilities[@]}"; do
		for fault in "${faults[@]}"; do for role in "${roles[@]}"; do
			for packet in $(printf '%s\n' "${packets[@]}" | sort -nu); do
				one "$capture" "$variant" "$durability" "$fault" "$role" "$packet"
			done
		done; done
	done; done
done
finish
