#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judges a NAT's output by its input, with other eyes than ours: tshark's checksums, our own bindings.

    judge.py IN OUT --inside PREFIX --pool ADDRESS [--bindings FILE] [--timeouts TCP,UDP,ICMP]

IN: any capture; OUT: what the chain wrote (pcap). Held to be true:
  - OUT is a subsequence of IN: same times, same bytes but for addresses, ports, checksums;
  - no IP, TCP, UDP or ICMP checksum is bad in OUT whose packet's was not bad in IN (tshark);
  - source (outbound) or destination (inbound) changed only between inside and pool;
  - an inside endpoint has one pool endpoint and the reverse, at any time; a new one only after an
    idle time as long as the protocol's timeout.
--bindings writes "proto inside-ip port pool-ip port" lines, of endpoints that never changed.
"""
import argparse
import collections
import gzip
import ipaddress
import struct
import subprocess
import sys

Packet = collections.namedtuple("Packet", "time_ns data wire_length")
VLANS = (0x8100, 0x88A8, 0x9100)


def read_capture(path):
    """All packets of a pcap or pcapng file, also gzipped; a cut-off end is left out."""
    with open(path, "rb") as file:
        data = file.read()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:4] == b"\x0a\x0d\x0d\x0a":
        return list(read_pcapng(data))
    return list(read_pcap(data))


def read_pcap(data):
    magics = {b"\xd4\xc3\xb2\xa1": ("<", 1000), b"\xa1\xb2\xc3\xd4": (">", 1000),
              b"\x4d\x3c\xb2\xa1": ("<", 1), b"\xa1\xb2\x3c\x4d": (">", 1),
              b"\x34\xcd\xb2\xa1": ("<", 1000)}  # "modified": 8 more bytes a packet
    order, unit_ns = magics[data[:4]]
    more = 8 if data[:4] == b"\x34\xcd\xb2\xa1" else 0
    at = 24
    while at + 16 + more <= len(data):
        seconds, part, kept, wire = struct.unpack_from(order + "4I", data, at)
        at += 16 + more
        if at + kept > len(data):
            return
        yield Packet(seconds * 10**9 + part * unit_ns, data[at:at + kept], wire)
        at += kept


def option(data, order, at, end, wanted):
    while at + 4 <= end:
        code, length = struct.unpack_from(order + "HH", data, at)
        if code == wanted:
            return data[at + 4:at + 4 + length]
        if code == 0:
            return None
        at += 4 + (length + 3) // 4 * 4
    return None


def read_pcapng(data):
    at, order, interfaces = 0, "<", []
    while at + 12 <= len(data):
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or at + length > len(data):
            return
        body, end = at + 8, at + length - 4
        if kind == 1:
            snap = struct.unpack_from(order + "I", data, body + 4)[0]
            resolution = option(data, order, body + 8, end, 9)
            resolution = resolution[0] if resolution else 6
            per_second = 2**(resolution & 127) if resolution & 128 else 10**resolution
            offset = option(data, order, body + 8, end, 14)
            offset = struct.unpack(order + "q", offset)[0] if offset else 0
            interfaces.append((per_second, offset, snap))
        elif kind == 6:
            number, high, low, kept, wire = struct.unpack_from(order + "5I", data, body)
            per_second, offset, _ = interfaces[number]
            ticks = high << 32 | low
            time_ns = (ticks // per_second + offset) * 10**9 + ticks % per_second * 10**9 // per_second
            yield Packet(time_ns, data[body + 20:body + 20 + kept], wire)
        elif kind == 3:
            wire = struct.unpack_from(order + "I", data, body)[0]
            kept = min(wire, interfaces[0][2] or wire, end - body - 4)
            yield Packet(0, data[body + 4:body + 4 + kept], wire)
        at += length


def write_pcap(path, packets):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
        for p in packets:
            file.write(struct.pack("<4I", p.time_ns // 10**9, p.time_ns % 10**9, len(p.data), p.wire_length))
            file.write(p.data)


class Fields:
    """Where what NAT may change is in a frame: offsets into its bytes, None where absent."""

    def __init__(self, data):
        self.data = data
        self.l3 = self.l4 = self.proto = None
        self.is_ipv4 = self.later = self.translatable = False
        at = 14
        kind = int.from_bytes(data[12:14], "big")
        for _ in range(4):
            if kind in VLANS and len(data) >= at + 4:
                kind = int.from_bytes(data[at + 2:at + 4], "big")
                at += 4
        if kind != 0x0800 or len(data) < at + 20 or data[at] >> 4 != 4 or data[at] & 15 < 5:
            return
        self.is_ipv4, self.l3, self.proto = True, at, data[at + 9]
        l4 = at + (data[at] & 15) * 4
        self.later = int.from_bytes(data[at + 6:at + 8], "big") & 0x1FFF != 0
        need = {6: 18, 17: 8, 1: 8}.get(self.proto)
        if self.later or need is None or len(data) < l4 + need:
            return
        self.l4 = l4
        self.translatable = self.proto != 1 or data[l4] in (0, 8)

    def address(self, source):
        return self.data[self.l3 + (12 if source else 16):][:4]

    def port_at(self, source):
        return self.l4 + 4 if self.proto == 1 else self.l4 + (0 if source else 2)

    def endpoint(self, source):
        at = self.port_at(source)
        return self.proto, self.address(source), int.from_bytes(self.data[at:at + 2], "big")

    def checksum_at(self):
        return self.l4 + {6: 16, 17: 6, 1: 2}[self.proto]

    def masked(self):
        """The frame without the bytes that NAT may change."""
        data = bytearray(self.data)
        if self.is_ipv4:
            data[self.l3 + 10:self.l3 + 20] = bytes(10)
            if self.l4 is not None and self.translatable:
                data[self.checksum_at():self.checksum_at() + 2] = bytes(2)
                if self.proto == 1:
                    data[self.l4 + 4:self.l4 + 6] = bytes(2)
                else:
                    data[self.l4:self.l4 + 4] = bytes(4)
        return bytes(data)


def bad_checksums(path):
    """For each frame, the set of layers whose checksum tshark calls bad."""
    layers = ("ip", "tcp", "udp", "icmp")
    checks = [a for layer in ("ip", "tcp", "udp") for a in ("-o", f"{layer}.check_checksum:TRUE")]
    off = [a for name in ("ip.defragment", "tcp.desegment_tcp_streams") for a in ("-o", f"{name}:FALSE")]
    fields = [a for layer in layers for a in ("-e", f"{layer}.checksum.status")]
    run = subprocess.run(["tshark", "-n", "-r", path, *checks, *off, "-T", "fields", "-E", "separator=;",
                          "-E", "occurrence=f", *fields], capture_output=True, text=True, check=False)
    # 0 is "bad"; newer versions say "Bad".
    return [{layer for layer, status in zip(layers, line.split(";")) if status in ("0", "Bad")}
            for line in run.stdout.splitlines()]


class Judge:
    def __init__(self, options):
        self.inside = [ipaddress.ip_network(p) for p in options.inside]
        self.pool = {ipaddress.ip_address(a).packed for a in options.pool}
        self.timeouts_ns = dict(zip((6, 17, 1), (int(s) * 10**9 for s in options.timeouts.split(","))))
        self.problems, self.outward, self.inward, self.seen_ns = [], {}, {}, {}
        self.translated, self.changed = 0, set()

    def is_inside(self, address):
        return any(ipaddress.ip_address(address) in network for network in self.inside)

    def problem(self, number, text):
        self.problems.append(f"packet {number}: {text}")

    def match(self, before, after):
        """Yields (index in before, index in after), in order; the rest of before was dropped."""
        at = 0
        for j, packet in enumerate(after):
            masked = Fields(packet.data).masked()
            i = at
            while i < len(before) and (len(before[i].data) != len(packet.data) or
                                       before[i].time_ns != packet.time_ns or
                                       Fields(before[i].data).masked() != masked or
                                       not self.plausible(before[i].data, packet.data)):
                i += 1
            if i == len(before):
                self.problem(j + 1, "is in no packet of the input from there on")
                continue
            at = i + 1
            yield i, j

    def plausible(self, data, translated):
        """No more than one side may differ, and only where this side is inside or pool."""
        a, b = Fields(data), Fields(translated)
        if not a.is_ipv4:
            return data == translated
        return a.address(True) == b.address(True) or a.address(False) == b.address(False)

    def bind(self, number, time_ns, inside, pool):
        self.translated += 1
        idle_ns = time_ns - self.seen_ns.get(inside, time_ns)
        for table, key, value in ((self.outward, inside, pool), (self.inward, pool, inside)):
            old = table.get(key)
            if old is not None and old != value:
                other = inside if table is self.outward else old
                since = time_ns - self.seen_ns.get(other, time_ns)
                if since < self.timeouts_ns[inside[0]]:
                    self.problem(number, f"{show(key)} was {show(old)}, is now {show(value)}, idle {since} ns")
                self.changed.add(inside)
                if table is self.outward:
                    self.inward.pop(old, None)
                else:
                    self.outward.pop(old, None)
            table[key] = value
        if idle_ns >= 0:
            self.seen_ns[inside] = max(time_ns, self.seen_ns.get(inside, 0))

    def compare(self, number, before, after):
        a, b = Fields(before.data), Fields(after.data)
        if before.data == after.data:
            if a.is_ipv4 and a.translatable and a.l4 and self.must_translate(a):
                self.problem(number, "should have been translated")
            return
        source = a.address(True) != b.address(True)
        if source and not (self.is_inside(a.address(True)) and b.address(True) in self.pool):
            self.problem(number, "its source changed, but not from inside to pool")
        if not source and not (a.address(False) in self.pool and self.is_inside(b.address(False))):
            self.problem(number, "its destination changed, but not from pool to inside")
        if a.l4 is None or not a.translatable:
            return
        if a.proto != 1 and a.endpoint(not source)[2] != b.endpoint(not source)[2]:
            self.problem(number, "the port of the other side changed")
        if source:
            self.bind(number, after.time_ns, a.endpoint(True), b.endpoint(True))
        else:
            self.bind_check(number, after.time_ns, b.endpoint(False), a.endpoint(False))

    def must_translate(self, fields):
        source, destination = fields.address(True), fields.address(False)
        outbound = self.is_inside(source) and not self.is_inside(destination) and destination[0] < 224
        return outbound or (not self.is_inside(source) and destination in self.pool)

    def bind_check(self, number, time_ns, inside, pool):
        """Inbound: by a binding that an outbound packet made."""
        if self.inward.get(pool) != inside:
            self.problem(number, f"{show(pool)} went to {show(inside)}, of which nothing went out so")
        self.translated += 1

    def judge(self, before_path, after_path):
        before, after = read_capture(before_path), read_capture(after_path)
        bad_before, bad_after = bad_checksums(before_path), bad_checksums(after_path)
        if len(bad_after) != len(after) or len(bad_before) < len(before):
            self.problems.append(f"tshark reads {len(bad_before)} and {len(bad_after)} packets, "
                                 f"we {len(before)} and {len(after)}")
            return
        matched = fresh = 0
        for i, j in self.match(before, after):
            matched += 1
            self.compare(j + 1, before[i], after[j])
            worse = bad_after[j] - bad_before[i]
            if worse:
                fresh += 1
                self.problem(j + 1, f"bad {', '.join(sorted(worse))} checksum")
        print(f"  {len(before)} in, {len(after)} out, {matched} matched, {self.translated} translated, "
              f"{len(self.outward)} bindings, {sum(map(bool, bad_before))} bad checksums in, "
              f"{sum(map(bool, bad_after))} out, {fresh} of our making")


def show(endpoint):
    proto, address, port = endpoint
    return f"{ {6: 'tcp', 17: 'udp', 1: 'icmp'}[proto]} {ipaddress.ip_address(address)} {port}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--inside", action="append", required=True)
    parser.add_argument("--pool", action="append", required=True)
    parser.add_argument("--bindings")
    parser.add_argument("--timeouts", default="7440,300,60", help="seconds: TCP,UDP,ICMP")
    options = parser.parse_args()
    judge = Judge(options)
    judge.judge(options.before, options.after)
    for line in judge.problems[:20]:
        print(f"  {line}")
    if options.bindings:
        with open(options.bindings, "w", encoding="ascii") as file:
            for inside, pool in judge.outward.items():
                if inside not in judge.changed:
                    file.write(f"{show(inside)} {' '.join(show(pool).split()[1:])}\n")
    return 1 if judge.problems else 0


if __name__ == "__main__":
    sys.exit(main())
