#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Live ports: a host behind the NAT and one outside, each in a network namespace, the chain between them on
# DPDK's af_packet driver; real connections through the death of the master. Needs root.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
NS=us$$
remove_hosts() { for h in in mid out; do ip netns del $NS$h 2>/dev/null; done; }
trap 'kill ${supervisor:-} ${server:-} 2>/dev/null; wait 2>/dev/null; remove_hosts; clean_up' EXIT

make_hosts() {
	local side
	for side in in mid out; do ip netns add $NS$side || return; ip -n $NS$side link set lo up; done
	for side in in out; do
		ip -n $NS$side link add eth0 type veth peer name to$side netns $NS"mid" || return
		ip -n $NS$side link set eth0 up
		ip -n ${NS}mid link set to$side up
		# No checksum is left to hardware that is not there.
		ip netns exec $NS$side ethtool -K eth0 tx off >/dev/null 2>&1
	done
	ip -n ${NS}in addr add 10.9.0.2/16 dev eth0
	ip -n ${NS}out addr add 198.51.100.2/24 dev eth0
	mac_out=$(ip netns exec ${NS}out cat /sys/class/net/eth0/address)
	mac_in=$(ip netns exec ${NS}in cat /sys/class/net/eth0/address)
	ip -n ${NS}in neigh add 10.9.0.1 lladdr "$mac_out" dev eth0
	ip -n ${NS}in route add default via 10.9.0.1
	ip -n ${NS}out route add 192.0.2.1/32 dev eth0
	ip -n ${NS}out neigh add 192.0.2.1 lladdr "$mac_in" dev eth0
}

if ! make_hosts; then
	skip "network namespaces cannot be made here: run as root"
fi
cat >"$WORK/c.yaml" <<EOF
chain: live
ports: [{id: 0, dev: "net_af_packet0,iface=toin"}, {id: 1, dev: "net_af_packet1,iface=toout"}]
stages:
  - name: edge
    vnfs: [{name: nat, config: {inside: [10.9.0.0/16], pool: [192.0.2.1]}}]
loggers: {dir: $WORK/log}
EOF
ip netns exec ${NS}mid "$UNDERSTUDY" run "$WORK/c.yaml" --run-dir "$RUN_DIR" --report "$WORK/out.json" \
	>"$WORK/out.out" 2>"$WORK/out.err" &
supervisor=$!
for _ in $(seq 200); do
	"$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -c ' ready ' | grep -qx 2 && break
	sleep 0.1
done
head -c 3000000 /dev/urandom >"$WORK/file"
(cd "$WORK" && exec ip netns exec ${NS}out python3 -m http.server --bind 198.51.100.2 8080) >/dev/null 2>&1 &
server=$!

ping_all() { ip netns exec ${NS}in ping -q -c 10 -i 0.1 -W 2 198.51.100.2 | grep -q ' 10 received'; }
settle "ping through the NAT" "$(ping_all || echo "lost some")"
# download NAME FAULT: a slow one, in the middle of which somebody dies: the connection must not.
download() {
	ip netns exec ${NS}in python3 - "$WORK/got" <<'PY' &
import sys, time, urllib.request
with urllib.request.urlopen("http://198.51.100.2:8080/file", timeout=30) as page, open(sys.argv[1], "wb") as out:
    while data := page.read(30000):
        out.write(data)
        time.sleep(0.02)
PY
	local download=$!
	sleep 0.7
	"$UNDERSTUDY" inject "$2" --run-dir "$RUN_DIR" >"$WORK/inject" 2>&1
	wait $download
	settle "a download through $1" "$(cmp "$WORK/file" "$WORK/got" 2>&1)"
}
download "the master's death" 'kill edge/master'
download "the sequencer's death" 'kill sequencer'
download "the manager's death" 'kill manager'
settle "ping after it" "$(ping_all || echo "lost some")"
kill -INT $supervisor
wait $supervisor
STATUS=$?
settle "the run ends in good order" "$(why out '[f["role"] for f in r["failovers"]] == ["master", "sequencer", "manager"]' \
	'all(f["restored_us"] > 0 for f in r["failovers"])' 'r["digest_mismatches"] == 0' 'r["packets"]["in_flight"] == 0')"
settle "nothing left behind" "$(roles_left; find /dev/shm -name "understudy-*" -newer "$WORK/c.yaml" 2>/dev/null)"
supervisor=
finish
