#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Line and branch coverage of the cores by unit tests and simulator together: tests/coverage.sh [SCHEDULES]. Needs gcovr.
set -euo pipefail
cd "$(dirname "$0")/.."
build=build-coverage
command -v gcovr >/dev/null || { echo "coverage.sh: gcovr is not installed (package gcovr)" >&2; exit 1; }
cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTESTS=ON -DCOVERAGE=ON >/dev/null
ninja -C $build >/dev/null
find $build -name '*.gcda' -delete
for program in $build/tests/test_*; do
	[ -x "$program" ] && PROGRAMS=20 "$program" >/dev/null 2>&1
done
$build/sim --schedules "${1:-2000}" --workers "$(nproc)" | tail -n 1
# What asks a library or the kernel is a shell; benchmarks' own code is not counted, nor are assertions' other ways.
gcovr --root . --branches --exclude-throw-branches --gcov-ignore-parse-errors --exclude-branches-by-pattern '.*\bBUG_ON\(.*' \
	--filter '(core|txn|loggers|sequencer|vnf|manager)/[a-z_]*\.[ch]' \
	--exclude '.*_(rocksdb|libevent|openssl|libyaml|dpdk|pcap|pthread|role|proc|shm|futex)\.c' \
	--exclude 'loggers/(control|role|owner)\.c' --exclude 'sequencer/(netdev|port|port_gen)\.c' \
	--exclude 'manager/audit_queue\.c' --exclude 'txn/baseline\.c' --exclude 'vnf/stage\.c' $build
