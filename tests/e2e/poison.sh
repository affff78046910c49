#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# Packets that every replica crashes on, or loops on for ever: they are set aside, their frames kept, and the chain goes
# on; a state that crashes on every packet is not answered by skipping packet after packet.
set -uo pipefail
. "$(dirname "$0")/lib.sh"

# capture FILE COUNT [INDEX=PAYLOAD]...: UDP packets, a millisecond apart, those of an index with that payload.
capture() {
	python3 - "$@" <<'PY'
import struct, sys
marked = dict(pair.split("=") for pair in sys.argv[3:])
with open(sys.argv[1], "wb") as out:
    out.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
    for i in range(int(sys.argv[2])):
        payload = marked.get(str(i), f"packet {i}").encode().ljust(20)
        udp = struct.pack(">HHHH", 1024 + i % 1000, 53, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10, 0, i >> 8 & 255, i & 255]), bytes([198, 51, 100, 1]))
        frame = b"\x02\0\0\0\0\2\2\0\0\0\0\1\x08\0" + ip + udp
        out.write(struct.pack("<IIII", 1600000000 + i // 1000, i % 1000 * 1000, len(frame), len(frame)) + frame)
PY
}

# poisoned NAME VARIANT WHICH [OPTION]...: the run comes to its end without the packets WHICH (Python list).
poisoned() {
	local name=$1 variant=$2 which=$3
	shift 3
	rm -rf "$WORK/log"
	chain "$WORK/c.yaml" vnf=poison "variant=$variant" hang_ms=200 "$@"
	sed -i 's/, config: {[^}]*}//' "$WORK/c.yaml"
	run out "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap"
	settle "$name" "$(why out "$CLEAN" "r['drops'] == {'set_aside': len($which)}" \
		'all(f["restored_us"] > 0 for f in r["failovers"])')$(aside "$which")"
}

# aside WHICH: what of the kept frames is not as it should be, or of the rest's count.
aside() {
	python3 - "$WORK/in.pcap" "$WORK/out.pcap" "$RUN_DIR/set-aside.pcap" "$1" <<'PY'
import struct, sys
def frames(path):
    data, at, found = open(path, "rb").read(), 24, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return found
sent, out, kept, which = frames(sys.argv[1]), frames(sys.argv[2]), frames(sys.argv[3]), eval(sys.argv[4])
if kept != [sent[i] for i in which]:
    print(f"{len(kept)} frames kept, not those of {which}; ", end="")
if [struct.unpack("<Q", f[6:12] + b"\0\0")[0] for f in out] != list(range(1, len(sent) - len(which) + 1)):
    print("the others were not counted one by one; ", end="")
PY
}

capture "$WORK/in.pcap" 3000 1000=CRASH
for variant in active passive; do
	poisoned "$variant: a packet that every replica crashes on" $variant '[1000]'
done
poisoned "disk: the same" active '[1000]' durability=disk
poisoned "two slaves: the same" active '[1000]' slaves=2
capture "$WORK/in.pcap" 3000 0=CRASH 2999=CRASH
poisoned "the first and the last packet" active '[0, 2999]'
capture "$WORK/in.pcap" 3000 500=CRASH 501=CRASH
poisoned "two in one batch" passive '[500, 501]'
capture "$WORK/in.pcap" 3000 1500=LOOP
poisoned "a packet that every replica loops on for ever" active '[1500]'
grep -q set_aside "$WORK/log/audit.jsonl" && ok "it is in the audit log" ||
	bad "it is in the audit log" "no set_aside there"

# An accident at the same place is none of the packet's: kills from outside do not count.
capture "$WORK/in.pcap" 3000
rm -rf "$WORK/log"
chain "$WORK/c.yaml" vnf=poison
sed -i 's/, config: {[^}]*}//' "$WORK/c.yaml"
run out "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap" --fault 'kill edge/master @packet=1500' \
	--fault 'kill edge/slave @packet=1500' --fault 'kill edge/master @packet=1501'
settle "killed replicas set nothing aside" "$(why out "$CLEAN" 'r["drops"] == {}')"

rm -rf "$WORK/log"
chain "$WORK/c.yaml" vnf=poison
sed -i 's/, config: {[^}]*}/, config: {worn: 2000}/' "$WORK/c.yaml"
run out "$WORK/c.yaml" --input "pcap:$WORK/in.pcap" --output "pcap:$WORK/out.pcap"
settle "a state that crashes on every packet ends the run, in one clear line" "$([ "$STATUS" -ne 0 ] &&
	grep -q 'its state is at fault' "$WORK/out.err" || echo "exit status $STATUS: $(tail -n 1 "$WORK/out.err")")"
finish
