#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# The same crash in two NATs, side by side, with the same clients and traffic, in network namespaces:
#   understudy   Understudy's NAT on af_packet ports; the process of its master is killed
#   slave        the same, but the process of its slave is killed
#   routers      two Linux routers with nftables SNAT, conntrackd (FTFW) and keepalived (VRRP); the primary dies: it
#                forwards nothing more, its daemons are killed, its interfaces go down
# and what protection costs each. Prints what the clients saw. Needs root; packages that are missing are installed.
#
# Not alike: Understudy's master and slave are processes of one machine, and here one process dies; the routers are
# two machines (here: namespaces of one kernel), whose NAT, being in the kernel, cannot die alone. The table says
# nothing of the loss of Understudy's machine. And here all share the same cores, which two routers would not.
#
#   tests/compare/run.sh [--json FILE]
#   RUNS      how often (1); with more, the table has median, least and most
#   SETUPS    which ("understudy slave routers")
#   ADVERT_S  keepalived's advert_int in seconds: 0.01, the least that VRRP can say; its default is 1
#   AFTER_S   how long the traffic goes on after the crash (5; with ADVERT_S=1, 12)
#   EXTERNAL  on: the backup's conntrackd keeps what it hears, and a script commits it at the takeover; off (the
#             default): it writes it to the kernel at once
set -uo pipefail
. "$(dirname "$0")/../e2e/lib.sh"
COMPARE=$ROOT/tests/compare
RUNS=${RUNS:-1}
SETUPS=${SETUPS:-understudy slave routers}
ADVERT_S=${ADVERT_S:-0.01}
BEFORE_S=3
AFTER_S=${AFTER_S:-5}
EXTERNAL=${EXTERNAL:-off}
json=
[ "${1:-}" = --json ] && json=${2:?--json FILE}
NS=cmp$$
SERVER=198.51.100.2
OUT=$WORK

in_ns() { local ns=$1; shift; ip netns exec "$NS$ns" "$@"; }
# start NS NAME COMMAND...: in the background, its output in NAME.out and NAME.err; its pid is in $!.
start() { ip netns exec "$NS$1" "${@:3}" >"$OUT/$2.out" 2>"$OUT/$2.err" & }
not_run() { echo "NOT RUN: $1"; exit 0; }
fail() { echo "FAIL: $1" >&2; exit 1; }
until_true() { local _; for _ in $(seq "$1"); do "${@:2}" && return; sleep 0.1; done; return 1; }

stop_all() {
	local ns inside running
	for ns in r1 r2; do
		[ -e /run/netns/$NS$ns ] || continue
		while inside=$(ip netns pids $NS$ns) && [ -n "$inside" ]; do kill -9 $inside; done
	done
	running=$(jobs -rp)
	[ -z "$running" ] || kill $running
	wait
} 2>/dev/null
remove_hosts() { local h; for h in in out mid sw r1 r2; do ip netns del $NS$h 2>/dev/null; done; }
trap 'stop_all; remove_hosts; clean_up' EXIT
trap 'exit 130' INT TERM

# What is needed, or why it cannot be had.
install_missing() {
	local missing='' pair policy=/usr/sbin/policy-rc.d mine='' status
	for pair in ip:iproute2 ethtool:ethtool ping:iputils-ping python3:python3 nft:nftables conntrack:conntrack \
		conntrackd:conntrackd keepalived:keepalived; do
		command -v "${pair%:*}" >/dev/null || missing+=" ${pair#*:}"
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || not_run "no$missing here, and no apt-get"
	echo "installing$missing"
	# Only the programs: their services are not to be started.
	[ -e $policy ] || { mine=yes; printf '#!/bin/sh\nexit 101\n' >$policy; chmod +x $policy; }
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of words
	{ apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing; } >"$WORK/apt" 2>&1
	status=$?
	[ -z "$mine" ] || rm -f $policy
	[ $status -eq 0 ] || not_run "$missing cannot be installed: $(tail -n 1 "$WORK/apt")"
}
try_kernel() {
	local why
	ip netns add ${NS}r1 2>/dev/null || not_run "network namespaces cannot be made here"
	ip -n ${NS}r1 link add br0 type bridge 2>/dev/null || not_run "the kernel has no bridge"
	ip -n ${NS}r1 link add eth0 type veth peer name eth1 2>/dev/null || not_run "the kernel has no veth"
	why=$(nft_file | in_ns r1 nft -f - 2>&1) || not_run "the kernel has no NAT: ${why%%$'\n'*}"
	why=$(in_ns r1 conntrack -L 2>&1) || not_run "the kernel has no ctnetlink: ${why%%$'\n'*}"
	[ "$(in_ns r1 cat /proc/sys/net/netfilter/nf_conntrack_events 2>/dev/null || echo 0)" != 0 ] ||
		not_run "the kernel tells no events of connection tracking"
	ip netns del ${NS}r1
}

# wire NS1 DEV1 NS2 DEV2: a cable. Hosts leave no checksum and no cutting to hardware that is not there.
wire() {
	ip -n "$NS$1" link add "$2" type veth peer name "$4" netns "$NS$3" || fail "no cable from $1 to $3"
	ip -n "$NS$1" link set "$2" up
	ip -n "$NS$3" link set "$4" up
	in_ns "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1
	in_ns "$3" ethtool -K "$4" tx off tso off gso off gro off >/dev/null 2>&1
}
# The NAT's hosts, and for both NATs a client 10.9.0.2, which is 192.0.2.1 outside, and a server.
make_hosts() {
	local h
	for h in in out "$@"; do { ip netns add $NS$h && ip -n $NS$h link set lo up; } || fail "no namespace $h"; done
}
number_hosts() {
	local kind
	ip -n ${NS}in addr add 10.9.0.2/16 dev eth0
	ip -n ${NS}in route add default via 10.9.0.1
	ip -n ${NS}out addr add $SERVER/24 dev eth0
	ip -n ${NS}out route add 192.0.2.1/32 dev eth0
	for kind in udp echo bulk; do start out serve_$kind python3 "$COMPARE/clients.py" serve $kind $SERVER; done
}
answers() { in_ns in ping -q -c 1 -W 1 $SERVER >/dev/null 2>&1; }
serves() { [ "$(in_ns out ss -Hltu "src $SERVER" | wc -l)" -eq 3 ]; }

# Understudy between the hosts.
understudy_wired() {
	make_hosts mid
	wire in eth0 mid toin
	wire mid toout out eth0
	number_hosts
	ip -n ${NS}in neigh add 10.9.0.1 lladdr "$(in_ns out cat /sys/class/net/eth0/address)" dev eth0
	ip -n ${NS}out neigh add 192.0.2.1 lladdr "$(in_ns in cat /sys/class/net/eth0/address)" dev eth0
	cat >"$WORK/c.yaml" <<-EOT
		chain: compare
		ports: [{id: 0, dev: "net_af_packet0,iface=toin"}, {id: 1, dev: "net_af_packet1,iface=toout"}]
		stages:
		  - name: edge
		    vnfs: [{name: nat, config: {inside: [10.9.0.0/16], pool: [192.0.2.1]}}]
		loggers: {dir: $WORK/log}
	EOT
}
ready() { "$UNDERSTUDY" status --run-dir "$RUN_DIR" 2>/dev/null | grep -c ' ready ' | grep -qx 2; }
understudy_up() { # protected | unprotected
	local options=()
	[ "$1" = protected ] || options=(--unprotected)
	rm -rf "$WORK/log"
	start mid run "$UNDERSTUDY" run "$WORK/c.yaml" --run-dir "$RUN_DIR" --report "$OUT/report.json" \
		"${options[@]}"
	supervisor=$!
	[ "$1" = unprotected ] || until_true 200 ready || fail "understudy: $(tail -n 1 "$OUT/run.err")"
}
understudy_down() {
	kill -INT $supervisor
	wait $supervisor || fail "understudy: $(tail -n 1 "$OUT/run.err")"
}
pid_of() { # master | slave
	"$UNDERSTUDY" status --json --run-dir "$RUN_DIR" | python3 -c '
import json, sys
print(next(r["pid"] for r in json.load(sys.stdin)["replicas"] if r["role"] == sys.argv[1]))' "$1"
}

# Two routers between two switches, and a cable between them for conntrackd.
routers_wired() {
	local r n
	make_hosts sw r1 r2
	for n in lan wan; do ip -n ${NS}sw link add $n type bridge && ip -n ${NS}sw link set $n up; done
	wire in eth0 sw in
	wire out eth0 sw out
	wire r1 sync r2 sync
	for r in 1 2; do
		for n in lan wan; do wire r$r $n sw $n$r && ip -n ${NS}sw link set $n$r master $n; done
		ip -n ${NS}r$r addr add 10.9.255.$r/16 dev lan
		ip -n ${NS}r$r addr add 198.51.100.25$r/24 dev wan
		ip -n ${NS}r$r addr add 172.31.0.$r/30 dev sync
		in_ns r$r sysctl -qw net.ipv4.ip_forward=1
		nft_file | in_ns r$r nft -f - || fail "nft does not take the rules"
	done
	ip -n ${NS}sw link set in master lan
	ip -n ${NS}sw link set out master wan
	number_hosts
}
nft_file() {
	cat <<-EOT
		table ip router {
			chain postrouting {
				type nat hook postrouting priority srcnat;
				iifname lan oifname wan snat to 192.0.2.1
			}
			chain forward {
				type filter hook forward priority filter; policy drop;
				ct state invalid drop
				iifname lan oifname wan accept
				ct state established,related accept
			}
			chain input { # so that a router without its peer's state answers nobody with a reset
				type filter hook input priority filter; policy drop;
				iifname { lo, sync } accept
				ip protocol { vrrp, icmp } accept
			}
		}
	EOT
}
conntrackd_file() { # ROUTER OTHER
	cat <<-EOT
		Sync {
			Mode FTFW {
				DisableExternalCache $([ "$EXTERNAL" = on ] && echo Off || echo On)
			}
			UDP {
				IPv4_address 172.31.0.$1
				IPv4_Destination_Address 172.31.0.$2
				Port 3780
				Interface sync
				SndSocketBuffer 1249280
				RcvSocketBuffer 1249280
				Checksum on
			}
		}
		General {
			HashSize 32768
			HashLimit 131072
			LogFile $OUT/conntrackd$1.log
			LockFile $WORK/conntrackd$1.lock
			UNIX {
				Path $WORK/conntrackd$1.ctl
			}
			NetlinkBufferSize 2097152
			NetlinkBufferSizeMaxGrowth 8388608
			Filter From Kernelspace {
				Protocol Accept {
					TCP
					UDP
					ICMP
				}
				Address Ignore {
					IPv4_address 127.0.0.1
					IPv4_address 172.31.0.0/30
				}
			}
		}
	EOT
}
# What conntrackd's example primary-backup.sh does. Without an external cache there is nothing to commit, and what is
# left, some 20 ms of work, can wait until the takeover is over.
takeover_file() { # ROUTER
	cat <<-EOT
		#!/bin/sh
		ask() { conntrackd -C $WORK/conntrackd$1.conf "\$1"; }
		case $EXTERNAL:\$1 in
		on:primary) ask -c; ask -f; ask -R; ask -B ;;
		on:backup) ask -t; ask -n ;;
		off:primary) sleep 2; ask -R; ask -B ;;
		off:backup) ask -n ;;
		esac
	EOT
}
keepalived_file() { # ROUTER
	local n id=60
	cat <<-EOT
		global_defs {
			router_id r$1
			vrrp_version 3
			vrrp_rt_priority 50
			vrrp_rlimit_rttime 1000000 # else it is killed at a takeover that takes more than 10 ms of CPU
			script_user root
		}
		vrrp_sync_group nat {
			group {
				lan
				wan
			}
			notify_master "$WORK/takeover$1.sh primary"
			notify_backup "$WORK/takeover$1.sh backup"
		}
	EOT
	for n in "lan 10.9.0.1/16" "wan 192.0.2.1/32"; do
		id=$((id + 1))
		cat <<-EOT
			vrrp_instance ${n% *} {
				interface ${n% *}
				state BACKUP
				nopreempt
				virtual_router_id $id
				priority $((200 - 50 * $1))
				advert_int $ADVERT_S
				virtual_ipaddress {
					${n#* }
				}
			}
		EOT
	done
}
heard() { in_ns r$1 conntrackd -C "$WORK/conntrackd$1.conf" -s >/dev/null 2>&1; }
entered() { [ "$(grep -c "Entering $2 STATE" "$OUT/keepalived$1.err")" -ge 2 ]; }
routers_up() { # protected | unprotected: the first router alone, with the addresses that are else virtual
	local r
	if [ "$1" = unprotected ]; then
		ip -n ${NS}r1 addr add 10.9.0.1/16 dev lan
		ip -n ${NS}r1 addr add 192.0.2.1/32 dev wan
		return
	fi
	for r in 1 2; do
		conntrackd_file $r $((3 - r)) >"$WORK/conntrackd$r.conf"
		keepalived_file $r >"$WORK/keepalived$r.conf"
		takeover_file $r >"$WORK/takeover$r.sh"
		chmod 700 "$WORK/takeover$r.sh"
		rm -f "$WORK"/{conntrackd$r.lock,keepalived$r.pid,vrrp$r.pid}
		start r$r conntrackd$r conntrackd -C "$WORK/conntrackd$r.conf"
		disown $! # it will be killed, and that is no news
		until_true 50 heard $r || fail "conntrackd: $(tail -n 1 "$OUT/conntrackd$r.err")"
	done
	for r in 1 2; do
		# Not with -D: that much log, written in real time, takes as long as the whole takeover.
		start r$r keepalived$r keepalived -f "$WORK/keepalived$r.conf" -P -n -l \
			-p "$WORK/keepalived$r.pid" -r "$WORK/vrrp$r.pid"
		disown $!
		until_true 200 entered $r "$([ $r = 1 ] && echo MASTER || echo BACKUP)" ||
			fail "keepalived: $(tail -n 1 "$OUT/keepalived$r.err")"
	done
}
routers_down() { cat "$OUT"/keepalived?.err 2>/dev/null | grep -c '(lan) Entering MASTER STATE' >"$OUT/takeovers"; }

# The clients, and in their midst the crash. What makes the measurement void, if anything, is in $void.
crash() { # SETUP
	local ns=mid victims interfaces='' times what when crash ask=(conntrack -L)
	local -A clients=()
	case $1 in
	understudy) victims=$(pid_of master) ;;
	slave) victims=$(pid_of slave) ;;
	routers) ns=r1 victims=$(ip netns pids ${NS}r1 | tr '\n' ' ') interfaces='lan wan sync' ;;
	esac
	times=$(python3 -c "
import time
start = time.monotonic() + 2
print(start, start + $BEFORE_S, start + $BEFORE_S + $AFTER_S)")
	read -r _ when _ <<<"$times"
	start $ns crash python3 "$COMPARE/clients.py" crash "$when" "$victims" "$interfaces"
	crash=$!
	for what in udp short talk fresh bulk; do
		# shellcheck disable=SC2086 # three times
		start in $what python3 "$COMPARE/clients.py" $what $SERVER $times
		clients[$what]=$!
	done
	if [ "$1" = routers ]; then # what the survivor knows when the other is dead, and before it takes over
		[ "$EXTERNAL" = off ] || ask=(conntrackd -C "$WORK/conntrackd2.conf" -e)
		start r2 survivor python3 "$COMPARE/clients.py" at "$when" 0.003 "${ask[@]}"
		disown $!
	fi
	wait $crash || void="a takeover came before the crash"
	[ "$1" = routers ] || "$UNDERSTUDY" status --json --run-dir "$RUN_DIR" >"$OUT/survivor.out"
	for what in "${!clients[@]}"; do
		wait "${clients[$what]}" || void="the client $what: $(tail -n 1 "$OUT/$what.err")"
	done
	if [ "$1" = routers ]; then # nothing changes any more in a dead router, not even its addresses
		in_ns r1 conntrack -L >"$OUT/dead" 2>/dev/null
		in_ns r1 ip -br addr show lan | grep -qw 10.9.0.1/16 || void="a takeover came before the crash"
	fi
}
fastest() {
	start in fastest python3 "$COMPARE/clients.py" fastest $SERVER 2
	wait $! || fail "no throughput: $(tail -n 1 "$OUT/fastest.err")"
}

# measure SETUP protected|unprotected COMMAND...: with everything new.
measure() {
	local nat=$1 try void
	[ "$1" != slave ] || nat=understudy
	for try in 1 2 3; do
		void=
		OUT=$WORK/runs/$run/$1/$3_$2
		mkdir -p "$OUT"
		${nat}_wired
		${nat}_up "$2"
		until_true 100 answers || fail "$1: no ping through the NAT"
		until_true 50 serves || fail "the server does not start: $(cat "$OUT"/serve_*.err)"
		"${@:3}"
		${nat}_down
		stop_all
		remove_hosts
		[ -n "$void" ] || return 0
		echo "$1: $void: it is measured once more"
		# Kept for the table: that it came.
		case $void in *takeover*) mv "$OUT" "$OUT.void$try" ;; *) rm -r "$OUT" ;; esac
	done
	fail "$1: no luck in $try tries"
}

[ "$(id -u)" -eq 0 ] || not_run "this needs root"
install_missing
try_kernel
load=$(cut -d' ' -f1 /proc/loadavg)
for run in $(seq "$RUNS"); do
	for setup in $SETUPS; do
		measure $setup protected crash $setup
		[ $setup = slave ] && continue
		measure $setup protected fastest
		measure $setup unprotected fastest
	done
done
about="keepalived: advert_int $ADVERT_S s; conntrackd: external cache $EXTERNAL"
about+="; $(nproc) cores for all, load $load before"
# shellcheck disable=SC2086 # a list of words
python3 "$COMPARE/table.py" "$WORK/runs" "${json:-/dev/null}" "$about" $SETUPS
