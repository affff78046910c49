#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Fuzzes each decoder, and packets through each VNF: tests/fuzz/run.sh [SECONDS [TARGET...]]. Without SECONDS it is the
# short run of the tests, which is always the same; with them, corpora grow in build-fuzz/corpus. What is found lies in
# build-fuzz/found/TARGET.
set -uo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-0}
shift
declare -A runs_of=([fuzz_records]=300000 [fuzz_wire]=300000 [fuzz_config]=20000 [fuzz_capture]=30000)
build=build-fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(fuzz_records fuzz_wire fuzz_config fuzz_capture fuzz_nat fuzz_load_balancer
	fuzz_trojan_detector fuzz_traffic_counter)
passed=0 failed=0
if ! { CC=clang-14 cmake -S . -B $build -G Ninja -DCMAKE_BUILD_TYPE=Debug -DFUZZ=ON >/dev/null && ninja -C $build "${targets[@]}" >$build/log; }; then
	tail -n 20 $build/log
	echo "0 passed, 1 failed"
	exit 1
fi
python3 tests/fuzz/corpus.py $build/seeds ../shared/traces
# One target; what it did goes to a file of its own, so that several run side by side.
fuzz() {
	local target=$1 limit=(-max_total_time="$seconds") corpus=$build/corpus/$1
	[ "$seconds" -gt 0 ] || limit=(-seed=1 -runs="$2") corpus=$(mktemp -d)
	mkdir -p "$corpus" $build/found/$target
	ASAN_OPTIONS=detect_leaks=0 timeout -k 5 $((seconds * 3 + 300)) $build/fuzz/$target "${limit[@]}" -timeout=20 \
		-rss_limit_mb=4096 -max_len=65536 -print_final_stats=1 -artifact_prefix=$build/found/$target/ "$corpus" \
		$build/seeds/$target >$build/$target.log 2>&1
	echo $? >$build/$target.status
	[ "$seconds" -gt 0 ] || rm -rf "$corpus"
}
export -f fuzz
export build seconds
for target in "${targets[@]}"; do echo "$target ${runs_of[$target]:-600}"; done | xargs -P "$(nproc)" -L 1 bash -c 'fuzz "$@"' fuzz
for target in "${targets[@]}"; do
	figures=$(grep -aE '^#[0-9]+' $build/$target.log | tail -n 1 | grep -oE 'cov: [0-9]+ ft: [0-9]+ corp: [0-9]+')
	runs=$(grep -a 'number_of_executed_units' $build/$target.log | grep -oE '[0-9]+')
	if [ "$(cat $build/$target.status)" = 0 ] && [ "${runs:-0}" -gt 0 ]; then
		echo "ok $target: $runs executions, $figures"
		passed=$((passed + 1))
	else
		echo "FAIL $target: see $build/$target.log: $(grep -am1 -E 'ERROR|SUMMARY|deadly|runtime error' $build/$target.log)"
		failed=$((failed + 1))
	fi
done
printf '%d passed, %d failed\n' $passed $failed
[ $failed -eq 0 ]
