#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs the Debian 12 packages that Understudy needs, those that dpkg reports missing:
#   deploy/packages.sh build    to build
#   deploy/packages.sh test     to build and to run the tests
set -eu

build="gcc libc6-dev make ninja-build cmake pkg-config libdpdk-dev librocksdb-dev libevent-dev
	libssl-dev libyaml-dev libjansson-dev libxxhash-dev libpcap-dev zlib1g-dev"
test="git libcmocka-dev clang-format-14 tshark tcpdump iproute2 python3"

fail()
{
	echo "packages.sh: $1" >&2
	exit 1
}

case "$#:${1-}" in
1:build) wanted=$build ;;
1:test) wanted="$build $test" ;;
*) fail "usage: deploy/packages.sh build|test" ;;
esac
command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	fail "needs dpkg and apt-get (Debian 12); elsewhere install the equivalents of: $(echo $wanted)"

missing=
for package in $wanted; do
	state=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null) || state=
	case " $state" in
	*" installed "*) ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then
	echo "packages.sh: all installed"
	exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "needs root, or sudo, to install:$missing"
	as_root=sudo
fi
echo "packages.sh: installing:$missing"
$as_root apt-get update -qq || fail "apt-get update failed"
# Word splitting is meant: sudo may be absent, and missing is a list.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing ||
	fail "apt-get install failed:$missing"
