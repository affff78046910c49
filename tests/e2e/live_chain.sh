#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The chain of three stages as a bump in the wire between two routers, each in a network namespace, with
# real hosts behind them: a client fetches a large file, opens a hundred connections a second and holds an
# interactive session, all through one virtual address, while every process of the chain is killed or stopped, in an
# order that comes from a seed. Needs root.
#   PORTS           af_packet (default) or tap
#   SECONDS_LOADED  how long (12): a fault or two a second
#   SEED            of whom a fault meets (1)
#   LOAD            percent of the packets that the chain can pass, sent beside the clients' (0). Above 100 what clients
#                   wait for too long is shown, not judged: the chain drops a part of all
#   RESULTS         a folder for captures of both sides of the chain, the report, and what clients and components saw
#
#   client 10.9.0.2 -- rin -- toin [ chain ] toout -- rout -- servers 198.51.100.11, .12, .13
set -uo pipefail
. "$(dirname "$0")/lib.sh"
NS=uc$$
PORTS=${PORTS:-af_packet}
LOADED=${SECONDS_LOADED:-12}
SEED=${SEED:-1}
LOAD=${LOAD:-0}
VIP=203.0.113.7
pids=()
remove_hosts() { for h in client rin mid rout servers; do ip netns del $NS$h 2>/dev/null; done; }
trap 'kill ${supervisor:-} "${pids[@]}" 2>/dev/null; wait 2>/dev/null; remove_hosts; clean_up' EXIT
# In the foreground; what runs in the background is started without it, so that $! is its own pid.
in_ns() { local ns=$1; shift; ip netns exec "$NS$ns" "$@"; }

# wire NS1 DEV1 NS2 DEV2: a cable. Hosts leave no checksum and no cutting to hardware that is not there.
wire() {
	ip -n "$NS$1" link add "$2" type veth peer name "$4" netns "$NS$3" || return
	ip -n "$NS$1" link set "$2" up
	ip -n "$NS$3" link set "$4" up
	in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1
	in_ns "$3" ethtool -K "$4" tx off tso off gso off gro off >/dev/null 2>&1
}

make_hosts() {
	local h
	for h in client rin mid rout servers; do ip netns add $NS$h || return; ip -n $NS$h link set lo up; done
	wire client eth0 rin lan && wire rout lan servers eth0 || return
	if [ "$PORTS" = af_packet ]; then
		wire rin wan mid toin && wire mid toout rout wan || return
	fi
	ip -n ${NS}client addr add 10.9.0.2/24 dev eth0
	ip -n ${NS}client route add default via 10.9.0.1
	ip -n ${NS}rin addr add 10.9.0.1/24 dev lan
	ip -n ${NS}rout addr add 198.51.100.1/24 dev lan
	for h in 11 12 13; do ip -n ${NS}servers addr add 198.51.100.$h/24 dev eth0; done
	ip -n ${NS}servers route add default via 198.51.100.1
	for h in rin rout; do in_ns $h sysctl -qw net.ipv4.ip_forward=1; done
}
# Once the link through the chain is there.
make_link() {
	ip -n ${NS}rin addr add 172.31.0.1/30 dev wan
	ip -n ${NS}rin route add default via 172.31.0.2
	ip -n ${NS}rout addr add 172.31.0.2/30 dev wan
	ip -n ${NS}rout route add 192.0.2.1/32 via 172.31.0.1
}

chain_file() { # FILE PORT0 PORT1
	cat >"$1" <<-EOF
		chain: live
		ports: [{id: 0, dev: "$2"}, {id: 1, dev: "$3"}]
		journal: 16MiB
		stages:
		  - {name: nat, vnfs: [{name: nat, config: {inside: [10.9.0.0/24], pool: [192.0.2.1]}}]}
		  - name: balance
		    vnfs:
		      - name: load_balancer
		        config: {inside: [10.9.0.0/24], vip: $VIP, ports: [22, 80], servers: [198.51.100.11, 198.51.100.12, 198.51.100.13]}
		  - {name: detect, vnfs: [{name: trojan_detector, config: {inside: [10.9.0.0/24]}}]}
		loggers: {dir: $WORK/log}
	EOF
}

# refused NAME PATTERN: a chain that is not started, in one clear line.
refused() {
	in_ns mid "$UNDERSTUDY" run "$WORK/c.yaml" --run-dir "$RUN_DIR" >/dev/null 2>"$WORK/refused.err"
	settle "$1" "$([ $? -ne 0 ] && [ "$(wc -l <"$WORK/refused.err")" -eq 1 ] && grep -q "$2" "$WORK/refused.err" || cat "$WORK/refused.err")"
}

start_servers() {
	mkdir -p "$WORK/www" && head -c 40000000 /dev/urandom >"$WORK/www/file" && echo hello >"$WORK/www/page"
	if command -v nginx >/dev/null; then
		server=nginx
		cat >"$WORK/nginx.conf" <<-EOF
			daemon off; pid $WORK/nginx.pid; error_log $WORK/nginx.log; worker_processes 1; user root;
			events { worker_connections 1024; }
			http { access_log off; server { listen 80; root $WORK/www;
				location /file { limit_rate 4m; } } } # so that it lasts
		EOF
		ip netns exec $NS"servers" nginx -e "$WORK/nginx.log" -c "$WORK/nginx.conf" >/dev/null 2>&1 &
	else
		server="Python's http.server"
		ip netns exec $NS"servers" python3 -m http.server --directory "$WORK/www" --bind 0.0.0.0 80 >/dev/null 2>&1 &
	fi
	pids+=($!)
	chmod 711 "$WORK"
	sshd=
	if [ -x /usr/sbin/sshd ] && command -v ssh >/dev/null; then
		mkdir -p /run/sshd
		ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
		ssh-keygen -q -t ed25519 -N '' -f "$WORK/host"
		cp "$WORK/key.pub" "$WORK/authorized"
		printf '%s\n' "HostKey $WORK/host" "AuthorizedKeysFile $WORK/authorized" 'StrictModes no' 'UsePAM no' \
			'PermitRootLogin yes' "PidFile none" >"$WORK/sshd.conf"
		ip netns exec $NS"servers" /usr/sbin/sshd -D -f "$WORK/sshd.conf" >/dev/null 2>&1 &
		pids+=($!)
		sshd=yes
	fi
}

ready() { "$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -c ' ready ' | grep -qx 6; }
until_ready() { for _ in $(seq 300); do ready && return; sleep 0.1; done; }

if ! make_hosts; then
	skip "network namespaces cannot be made here: run as root"
fi
if [ "$PORTS" = tap ]; then
	[ -c /dev/net/tun ] || skip "there is no /dev/net/tun here"
	chain_file "$WORK/c.yaml" net_tap0,iface=toin net_tap1,iface=toout
else
	chain_file "$WORK/c.yaml" net_af_packet0,iface=toin net_af_packet1,iface=toout
	ip -n ${NS}mid link set toout mtu 1400
	refused "another MTU is refused" 'MTU 1500 and 1400'
	ip -n ${NS}mid link set toout mtu 1500 down
	refused "an interface that is down is refused" 'toout is down'
	ip -n ${NS}mid link set toout up
	in_ns mid ethtool -K toin gro on >/dev/null 2>&1
	refused "an interface that merges frames is refused" 'toin merges'
	in_ns mid ethtool -K toin gro off >/dev/null 2>&1
	ip -n ${NS}mid link set toin mtu 9000
	refused "frames too long for the driver are refused" 'framesz'
	ip -n ${NS}mid link set toin mtu 1500
fi

start_servers
ip netns exec $NS"mid" "$UNDERSTUDY" run "$WORK/c.yaml" --run-dir "$RUN_DIR" --report "$WORK/out.json" \
	>"$WORK/out.out" 2>"$WORK/out.err" &
supervisor=$!
until_ready
if [ "$PORTS" = tap ]; then
	# The taps are the cables' ends: they go to the routers.
	ip -n ${NS}mid link set toin netns $NS"rin" name wan up && ip -n ${NS}mid link set toout netns $NS"rout" name wan up
	in_ns rin ethtool -K wan tx off tso off gso off >/dev/null 2>&1
	in_ns rout ethtool -K wan tx off tso off gso off >/dev/null 2>&1
fi
make_link
settle "the routers see each other: ARP is left alone" "$(in_ns rin ping -q -c 3 -i 0.2 -W 2 172.31.0.2 | grep -q ' 3 received' || echo "no ping")"
settle "the virtual address answers" "$(in_ns client python3 -c "import urllib.request as u; print(end=u.urlopen('http://$VIP/page', timeout=10).read().decode())" 2>&1 | grep -qx hello || echo "no page")"

rate=0
if [ "$LOAD" -gt 0 ]; then
	# What comes out while more goes in than it can take.
	passed_on() { in_ns rout cat /sys/class/net/wan/statistics/rx_packets; }
	ip netns exec $NS"client" python3 "$E2E/clients.py" blast 198.51.100.11 6 0 >"$WORK/saturation.json" & pids+=($!)
	sleep 2
	before=$(passed_on)
	sleep 3
	saturated=$((($(passed_on) - before) / 3))
	wait $!
	rate=$((saturated * LOAD / 100))
	echo "   the chain passes $saturated packets a second of $(cat "$WORK/saturation.json"); $rate go along"
fi
if [ -n "${RESULTS:-}" ]; then
	mkdir -p "$RESULTS"
	for side in rin rout; do
		ip netns exec $NS$side tcpdump -i wan -s 96 -w "$RESULTS/$side.pcap" -U -q 2>/dev/null & pids+=($!)
	done
fi
sum=$(sha256sum "$WORK/www/file" | cut -d' ' -f1)
clients=()
ip netns exec $NS"client" python3 "$E2E/clients.py" short "http://$VIP/page" "$LOADED" 100 >"$WORK/short.json" & clients+=($!)
if [ -n "$sshd" ]; then
	ip netns exec $NS"client" python3 "$E2E/clients.py" talk "$LOADED" ssh -i "$WORK/key" -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@$VIP cat >"$WORK/talk.json" & clients+=($!)
fi
ip netns exec $NS"client" python3 "$E2E/clients.py" download "http://$VIP/file" "$sum" $((LOADED - 10)) >"$WORK/download.json" & clients+=($!)
if [ $rate -gt 0 ]; then
	ip netns exec $NS"client" python3 "$E2E/clients.py" blast 198.51.100.11 "$LOADED" $rate >"$WORK/blast.json" & clients+=($!)
fi
pids+=("${clients[@]}")
components=(manager logger/packets logger/determinants logger/progress)
for stage in nat balance detect; do components+=("$stage/master" "$stage/master" "$stage/slave"); done
# A tap goes with the process that made it.
[ "$PORTS" = tap ] || components+=(sequencer)
RANDOM=$SEED
faults=0 end=$((SECONDS + LOADED - 2)) shown=$SECONDS
while [ $SECONDS -lt $end ]; do
	sleep 0.3
	fault=kill
	[ $((RANDOM % 6)) -gt 0 ] || fault=stop
	"$UNDERSTUDY" inject "$fault ${components[RANDOM % ${#components[@]}]}" --run-dir "$RUN_DIR" >/dev/null 2>&1 && faults=$((faults + 1))
	sleep 0.2
	until_ready
	[ $((SECONDS - shown)) -lt 30 ] || { shown=$SECONDS; echo "   $faults faults, $((end - SECONDS)) s to go" >&2; }
done
wait "${clients[@]}"
for client in download short talk; do
	[ -e "$WORK/$client.json" ] || { echo "NOT RUN: $client: there is no sshd here"; continue; }
	echo "   $(cat "$WORK/$client.json")"
	settle "$client through $faults faults" "$(python3 -c '
import json, sys
seen = json.loads(open(sys.argv[1]).read() or "{\"error\": \"it said nothing\"}")
if int(sys.argv[2]) <= 100 or "timed out" not in seen["error"]:
    print(seen["error"], end="")' "$WORK/$client.json" "$LOAD" 2>&1)"
done
kill -INT $supervisor
wait $supervisor
STATUS=$?
settle "the run ends in good order, $server behind it" "$(why out "len(r['failovers']) >= $faults" "$faults >= 3" \
	'all(f["restored_us"] > 0 for f in r["failovers"])' 'r["digest_mismatches"] == 0' 'r["packets"]["in_flight"] == 0')"
python3 - "$WORK/out.json" <<'PY'
import json, statistics, sys
r, by = json.load(open(sys.argv[1])), {}
for f in r["failovers"]:
    by.setdefault((f["role"], f["fault"]), []).append(f)
print(f"   ambiguous at new sequencers: {r['packets']['ambiguous']} packets")
for key, each in sorted(by.items()):
    outages = sorted(f["outage_us"] / 1e3 for f in each)
    back = statistics.median(f["restored_us"] for f in each) / 1e3
    print("   {} {}: {} times, outage p50 {:.1f}, max {:.1f} ms, whole again p50 {:.0f} ms".format(
        *key, len(each), statistics.median(outages), outages[-1], back))
PY
[ ! -e "$WORK/blast.json" ] || echo "   $(cat "$WORK/blast.json")"
[ -z "${RESULTS:-}" ] || cp "$WORK"/{out,download,short,talk,blast}.json "$RESULTS" 2>/dev/null
settle "connections were spread" "$(value out '"" if min(v for k, v in r["vnfs"]["balance"].items() if k.endswith("/connections")) > 0 else r["vnfs"]["balance"]')"
settle "nothing left behind" "$(roles_left; find /dev/shm -name "understudy-*" -newer "$WORK/c.yaml" 2>/dev/null)"
supervisor=
finish
