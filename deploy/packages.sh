#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Installs the Debian 12 packages that Understudy needs, those that dpkg reports missing:
#   deploy/packages.sh build    to build
#   deploy/packages.sh test     to build and to run the tests
# shellcheck disable=SC2086 # package lists are split into words
set -eu

build="gcc libc6-dev make ninja-build cmake pkg-config libdpdk-dev libisal-dev librocksdb-dev libevent-dev
	libssl-dev libyaml-dev libjansson-dev libxxhash-dev libpcap-dev zlib1g-dev"
test="git libcmocka-dev clang-14 libclang-rt-14-dev spin clang-format-14 tshark tcpdump iproute2 iputils-ping ethtool util-linux python3"

fail()
{
	echo "packages.sh: $*" >&2
	exit 1
}

case "$#:${1-}" in
1:build) wanted=$build ;;
1:test) wanted="$build $test" ;;
*) fail "usage: deploy/packages.sh build|test" ;;
esac
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	fail "needs apt-get (Debian 12); on other systems, install the equivalents of:" $wanted
fi

# dpkg-query does not list a package that it does not know.
installed=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' $wanted 2>/dev/null || true) "
missing=
for package in $wanted; do
	case "$installed" in
	*" $package:installed "*) ;;
	*) missing="$missing $package" ;;
	esac
done
if [ -z "$missing" ]; then
	echo "packages.sh: nothing to install"
	exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
	command -v sudo >/dev/null || fail "needs root, or sudo, to install$missing"
	as_root=sudo
fi
echo "packages.sh: installing$missing"
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120"
$apt update || fail "apt-get update failed"
$apt install -y --no-install-recommends $missing || fail "apt-get could not install$missing"
