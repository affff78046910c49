#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Records office.pcap: real programs in network namespaces of its own, seen on the inside interface of
# the router between four inside hosts (10.0.0.0/16) and one outside server (198.51.100.10).
# Needs root. Everything it starts, it ends by pid; the namespaces go with it.
set -euo pipefail
out=${1:-"$(dirname "$0")/office.pcap"}

if [ "$(id -u)" -ne 0 ]; then
	echo "record.sh: needs root, for network namespaces" >&2
	exit 1
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nginx-light dnsmasq-base \
	bind9-dnsutils openssh-server openssh-client python3 python3-pyftpdlib ngircd iputils-ping curl \
	ethtool netcat-openbsd tcpdump iproute2 >/dev/null

tag=us$$
work=$(mktemp -d)
pids=()
finish() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	for host in in rt out; do ip netns del "$tag-$host" 2>/dev/null || true; done
	rm -rf "$work"
}
trap finish EXIT
in_ns() { local host=$1; shift; ip netns exec "$tag-$host" "$@"; }

# Hosts: inside - router - outside; no offloads, so that frames and checksums are those of a wire.
for host in in rt out; do
	ip netns add "$tag-$host"
	in_ns "$host" ip link set lo up
done
ip -n "$tag-in" link add eth0 type veth peer name inside netns "$tag-rt"
ip -n "$tag-out" link add eth0 type veth peer name outside netns "$tag-rt"
in_ns in ip link set eth0 up
in_ns out ip link set eth0 up
in_ns rt ip link set inside up
in_ns rt ip link set outside up
in_ns rt ip addr add 10.0.0.1/16 dev inside
in_ns rt ip addr add 198.51.100.1/24 dev outside
in_ns out ip addr add 198.51.100.10/24 dev eth0
clients=(10.0.0.11 10.0.0.12 10.0.1.13 10.0.2.14)
for address in "${clients[@]}"; do in_ns in ip addr add "$address/16" dev eth0; done
in_ns in ip route add default via 10.0.0.1
in_ns out ip route add default via 198.51.100.1
in_ns rt sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
for end in "in eth0" "rt inside" "rt outside" "out eth0"; do
	set -- $end
	in_ns "$1" ethtool -K "$2" tx off rx off tso off gso off gro off sg off >/dev/null
done

server=198.51.100.10
mkdir -p "$work/www" "$work/ftp" "$work/nginx"
for size in 200 700 1500 4000 9000; do head -c "$size" /dev/urandom | base64 >"$work/www/$size.txt"; done
head -c 1000000 /dev/urandom >"$work/www/bulk.bin"
head -c 60000 /dev/urandom >"$work/ftp/download.bin"
head -c 40000 /dev/urandom >"$work/upload.bin"
chmod -R a+rX "$work"

cat >"$work/nginx/nginx.conf" <<CONF
daemon off;
user root;
pid $work/nginx/pid;
error_log $work/nginx/error.log;
events {}
http { access_log off; client_body_temp_path $work/nginx/body; proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/f; uwsgi_temp_path $work/nginx/u; scgi_temp_path $work/nginx/s;
  server { listen $server:80; root $work/www; } }
CONF
ip netns exec "$tag-out" nginx -c "$work/nginx/nginx.conf" &
pids+=($!)
ip netns exec "$tag-out" dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address=$server --bind-interfaces \
	--address=/example.test/$server --pid-file="$work/dnsmasq.pid" --user=root &
pids+=($!)
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$work/hostkey"
ssh-keygen -q -t ed25519 -N '' -f "$work/key"
cat >"$work/sshd_config" <<CONF
ListenAddress $server:22
HostKey $work/hostkey
AuthorizedKeysFile $work/key.pub
StrictModes no
PermitRootLogin yes
UsePAM no
PidFile $work/sshd.pid
CONF
ip netns exec "$tag-out" /usr/sbin/sshd -D -f "$work/sshd_config" &
pids+=($!)
cat >"$work/ftpd.py" <<CONF
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer
authorizer = DummyAuthorizer()
authorizer.add_user("guest", "guest", "$work/ftp", perm="elradfmw")
FTPHandler.authorizer = authorizer
FTPServer(("$server", 21), FTPHandler).serve_forever()
CONF
ip netns exec "$tag-out" /usr/bin/python3 "$work/ftpd.py" 2>/dev/null &
pids+=($!)
cat >"$work/ngircd.conf" <<CONF
[Global]
Name = irc.example.test
Info = recording
Listen = $server
ServerUID = root
ServerGID = root
[Options]
PAM = no
DNS = no
Ident = no
CONF
ip netns exec "$tag-out" ngircd -n -f "$work/ngircd.conf" >/dev/null &
pids+=($!)
sleep 1.5

ip netns exec "$tag-rt" tcpdump -i inside -U -s 0 -w "$work/raw.pcap" 2>/dev/null &
dump=$!
pids+=("$dump")
sleep 0.7

ssh_to() { in_ns in ssh -n -o LogLevel=ERROR -i "$work/key" -b "$1" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
	"root@$server" "${@:2}"; }
irc() {
	{ printf 'NICK %s\r\nUSER %s 0 * :%s\r\n' "$2" "$2" "$2"; sleep 1
	  printf 'JOIN #office\r\n'; sleep 0.3
	  for line in hello "how are you" "see you"; do printf 'PRIVMSG #office :%s\r\n' "$line"; sleep 0.2; done
	  printf 'QUIT :bye\r\n'; sleep 0.2
	} | in_ns in nc -w 2 -s "$1" "$server" 6667 >/dev/null
}

echo "DNS, web and IRC side by side, from four hosts"
jobs_of_mine=()
for i in 0 1 2 3; do
	address=${clients[$i]}
	(
		for n in $(seq 1 30); do
			in_ns in dig -b "$address" +short +tries=1 @"$server" "host$n.example.test" >/dev/null
			for size in 200 700 1500; do
				in_ns in curl -s --interface "$address" -o /dev/null "http://$server/$size.txt"
			done
		done
	) &
	jobs_of_mine+=($!)
done
irc "${clients[0]}" alice &
jobs_of_mine+=($!)
irc "${clients[1]}" bob &
jobs_of_mine+=($!)
wait "${jobs_of_mine[@]}"

echo "SSH, FTP, bulk, ping"
ssh_to "${clients[2]}" uname -s >/dev/null
ssh_to "${clients[3]}" 'for i in 1 2 3 4 5; do date; sleep 0.1; done' >/dev/null
in_ns in curl -s --interface "${clients[0]}" -o /dev/null "ftp://guest:guest@$server/download.bin"
in_ns in curl -s --interface "${clients[1]}" -T "$work/upload.bin" "ftp://guest:guest@$server/"
in_ns in curl -s --interface "${clients[2]}" -o /dev/null "http://$server/bulk.bin"
in_ns in curl -s --interface "${clients[3]}" -o /dev/null "http://$server/9000.txt" \
	-o /dev/null "http://$server/4000.txt"
for address in "${clients[@]}"; do
	in_ns in ping -q -c 5 -i 0.1 -I "$address" "$server" >/dev/null
	in_ns in ping -q -c 2 -i 0.1 -s 3000 -I "$address" "$server" >/dev/null
done
sleep 0.7
kill "$dump"
wait "$dump" 2>/dev/null || true
cp "$work/raw.pcap" "$out"
chmod 644 "$out"
echo "$out: $(tcpdump -nn -r "$out" 2>/dev/null | wc -l) packets, $(stat -c %s "$out") bytes"
