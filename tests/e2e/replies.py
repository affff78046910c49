#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Replies translated back. A capture's replies already address the inside; a NAT passes them as they are.

    replies.py rewrite IN BINDINGS OUT.pcap   replies of IN address the pool endpoint of the binding that
                                              judge.py found; only after the outbound packet that makes it
    replies.py check IN REWRITTEN RESULT      RESULT has each such reply again as it was in IN

Compared without the checksum fields, which must instead be as far from right as they were in IN.
"""
import sys

from judge import Fields, Packet, read_capture, write_pcap

PROTOS = {"tcp": 6, "udp": 17, "icmp": 1}


def address_of(text):
    return bytes(int(part) for part in text.split("."))


def read_bindings(path):
    with open(path, encoding="ascii") as file:
        rows = [line.split() for line in file]
    return {(PROTOS[p], address_of(a), int(b)): (address_of(c), int(d)) for p, a, b, c, d in rows}


def fold(total):
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def words(data):
    data = bytes(data) + b"\0" * (len(data) & 1)
    return sum(int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2))


def adjust(frame, at, old, new):
    """RFC 1624, eqn. 3, by our own hand."""
    value = int.from_bytes(frame[at:at + 2], "big")
    total = fold((value ^ 0xFFFF) + sum(w ^ 0xFFFF for w in pairs(old)) + words(new))
    frame[at:at + 2] = (total ^ 0xFFFF).to_bytes(2, "big")


def pairs(data):
    return [int.from_bytes(data[i:i + 2], "big") for i in range(0, len(data), 2)]


def to_pool(packet, address, port):
    f = Fields(packet.data)
    frame = bytearray(packet.data)
    old, at = f.address(False), f.port_at(False)
    old_port, new_port = bytes(frame[at:at + 2]), port.to_bytes(2, "big")
    adjust(frame, f.l3 + 10, old, address)
    check = f.checksum_at()
    if f.proto == 1:
        adjust(frame, check, old_port, new_port)
    elif f.proto == 6 or frame[check:check + 2] != b"\0\0":
        adjust(frame, check, old + old_port, address + new_port)
        if f.proto == 17 and frame[check:check + 2] == b"\0\0":
            frame[check:check + 2] = b"\xff\xff"
    frame[f.l3 + 16:f.l3 + 20] = address
    frame[at:at + 2] = new_port
    return Packet(packet.time_ns, bytes(frame), packet.wire_length)


def is_fragment(f):
    return int.from_bytes(f.data[f.l3 + 6:f.l3 + 8], "big") & 0x3FFF != 0


def rewrite(before, bindings):
    """The packets, and which of them were rewritten."""
    made, packets, rewritten, inside = set(), [], [], {key[1] for key in bindings}
    for i, packet in enumerate(before):
        f = Fields(packet.data)
        if f.l4 is not None and f.translatable and not is_fragment(f):
            source, destination = f.endpoint(True), f.endpoint(False)
            if source in bindings and destination[1] not in inside:
                made.add(source)
            elif destination in made and destination in bindings and source[1] not in inside:
                packet = to_pool(packet, *bindings[destination])
                rewritten.append(i)
        packets.append(packet)
    return packets, rewritten


def residue(data):
    """What the checksums' sums come to: 0xffff for right ones; UDP's two zeros are one."""
    f = Fields(data)
    ip = fold(words(data[f.l3:f.l3 + (data[f.l3] & 15) * 4]))
    check = int.from_bytes(data[f.checksum_at():f.checksum_at() + 2], "big")
    if f.proto == 17 and check == 0:
        return ip, None
    covered = b"" if f.proto == 1 else f.address(True) + f.address(False)
    return ip, fold(words(covered) + words(data[f.l4:])) % 0xFFFF


def bare(data):
    f = Fields(data)
    frame = bytearray(data)
    frame[f.l3 + 10:f.l3 + 12] = b"\0\0"
    frame[f.checksum_at():f.checksum_at() + 2] = b"\0\0"
    return bytes(frame)


def check(before_path, rewritten_path, result_path):
    before, sent, result = map(read_capture, (before_path, rewritten_path, result_path))
    wrong, at, found = [], 0, 0
    replies = [i for i in range(len(before)) if before[i].data != sent[i].data]
    for i in replies:
        want = bare(before[i].data)
        j = at
        while j < len(result) and not (result[j].time_ns == before[i].time_ns and
                                       len(result[j].data) == len(before[i].data) and
                                       bare_or_none(result[j].data) == want):
            j += 1
        if j == len(result):
            wrong.append(f"reply, packet {i + 1}, did not come back as it was")
            continue
        at = j + 1
        found += 1
        if residue(result[j].data) != residue(before[i].data):
            wrong.append(f"reply, packet {i + 1}: checksums {residue(before[i].data)} before, "
                         f"{residue(result[j].data)} after")
    print(f"  {len(replies)} replies sent to the pool, {found} came back to their inside endpoint")
    for line in wrong[:20]:
        print(f"  {line}")
    return 1 if wrong or not replies else 0


def bare_or_none(data):
    f = Fields(data)
    return bare(data) if f.l4 is not None and f.translatable else None


def main():
    if len(sys.argv) == 5 and sys.argv[1] == "rewrite":
        packets, rewritten = rewrite(read_capture(sys.argv[2]), read_bindings(sys.argv[3]))
        write_pcap(sys.argv[4], packets)
        print(f"  {len(rewritten)} of {len(packets)} packets are replies, now to the pool")
        return 0 if rewritten else 3
    if len(sys.argv) == 5 and sys.argv[1] == "check":
        return check(*sys.argv[2:])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
