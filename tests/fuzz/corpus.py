#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes the fuzz targets' first inputs: corpus.py OUT [TRACES]. From the project's own files, the shared captures if
they are there, and the catalogue of bad input to network functions: truncation at every offset, stacks of VLAN tags,
fragments that overlap, header lengths that lie, elements of length zero, chains of extension headers."""
import glob
import os
import struct
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
VNFS = ("nat", "load_balancer", "trojan_detector", "traffic_counter")
MACS = bytes(range(12))


def put(folder, name, data):
    path = os.path.join(sys.argv[1], folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "wb") as file:
        file.write(data)


def ipv4(protocol, payload, length=None, header=5, fragment=0, source=0x0A000001, to=0xC6336401, options=b""):
    header = struct.pack(">BBHHHBBHII", 0x40 | header, 0, (20 + len(options) + len(payload)) if length is None else length,
                         7, fragment, 64, protocol, 0, source, to)
    return header + options + payload


def tcp(flags=2, offset=5, source=1024, to=80, options=b"", data=b""):
    return struct.pack(">HHIIBBHHH", source, to, 1, 2, offset << 4, flags, 100, 0, 0) + options + data


def udp(length=None, data=b"hello"):
    return struct.pack(">HHHH", 1024, 53, 8 + len(data) if length is None else length, 0) + data


def ethernet(payload, kind=0x0800, tags=()):
    return MACS + b"".join(struct.pack(">HH", tag, 5) for tag in tags) + struct.pack(">H", kind) + payload


def packets(frames, port=0):
    return b"".join(struct.pack("<HB", len(frame), port | i % 3 << 1) + frame for i, frame in enumerate(frames))


def catalogue():
    good = ethernet(ipv4(6, tcp(data=b"GET / HTTP/1.1\r\n")))
    icmp = struct.pack(">BBHI", 3, 1, 0, 0)
    yield "truncated", [good[:n] for n in range(14, len(good))]
    yield "vlans", [ethernet(ipv4(6, tcp()), tags=[tag] * n) for n in range(7) for tag in (0x8100, 0x88A8, 0x9A5E)]
    yield "fragments", [ethernet(ipv4(17, udp(data=bytes(64)), fragment=f)) for f in
                        (0x2000, 0x2001, 0x2004, 0x0004, 0x0001, 0x3FFF, 0x1FFF, 0x2000, 0x8000, 0x4000)]
    yield "ip lengths", [ethernet(ipv4(6, tcp(), length=n)) for n in (0, 1, 19, 20, 21, 39, 40, 41, 1500, 65535)]
    yield "ip headers", [ethernet(ipv4(6, tcp(), header=n)) for n in range(16)]
    yield "ip options", [ethernet(ipv4(6, tcp(), header=15, options=o)) for o in
                         (bytes(40), b"\x01" * 40, b"\x44\x00" * 20, b"\x83\xff" * 20, b"\x07\x27" + bytes(38))]
    yield "tcp offsets", [ethernet(ipv4(6, tcp(offset=n))) for n in range(16)]
    yield "tcp options", [ethernet(ipv4(6, tcp(offset=10, options=o))) for o in
                          (b"\x02\x00" * 10, b"\x08\xff" * 10, b"\x00" * 20, b"\x01" * 20, b"\x03\x01" * 10)]
    yield "udp lengths", [ethernet(ipv4(17, udp(length=n))) for n in (0, 1, 7, 8, 9, 65535)]
    yield "icmp", [ethernet(ipv4(1, struct.pack(">BBHI", kind, 0, 0, 1) + inner)) for kind in (0, 3, 5, 8, 11, 12, 255)
                   for inner in (b"", ipv4(6, tcp()), ipv4(6, tcp())[:28], ipv4(1, icmp), ipv4(6, tcp(), header=15))]
    yield "ipv6 chains", [ethernet(struct.pack(">IHBB", 6 << 28, 8 * n, 0, 64) + bytes(32) + (bytes([0, 0]) + bytes(6)) * n,
                                   kind=0x86DD) for n in range(20)]
    yield "ports", [ethernet(ipv4(6, tcp(source=s, to=t))) for s in (0, 1, 80, 65535) for t in (0, 80, 443, 65535)]
    yield "conversation", [ethernet(ipv4(6, tcp(flags=f))) for f in (2, 16, 24, 17, 4)] + \
        [ethernet(ipv4(6, tcp(flags=f, source=80, to=1024), source=0xC6336401, to=0xC0000201)) for f in (18, 16, 17)]
    yield "other kinds", [ethernet(bytes(50), kind=k) for k in (0, 5, 0x0600, 0x0806, 0x8847, 0x8863, 0xFFFF)]


def frames_of(path, most):
    """Of a pcap file in host order; nothing of other kinds."""
    data = open(path, "rb").read(1 << 20)
    if data[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        return []
    at, frames = 24, []
    while at + 16 <= len(data) and len(frames) < most:
        length = struct.unpack_from("<I", data, at + 8)[0]
        frames.append(data[at + 16:at + 16 + length][:1500])
        at += 16 + length
    return frames


def records():
    record = struct.pack("<IIQHBBHH", 60, 60, 1000, 0, 1, 0, 0, 0) + bytes(64)
    batch = struct.pack("<QQQQQIHHQQ", 0x0001544142444E55, 0, 1, 1, 0, 64 + 2 * len(record), 2, 2, 0, 0) + record * 2
    extra = struct.pack("<HHI", 2, 0, 5) + b"alarm\0\0\0"
    outcome = struct.pack("<QQQQIIIHHQQ", 0x000154554F444E55, 0, 1, 5, 64 + 8 + len(extra), 0, len(extra), 2, 0, 0, 0) + \
        struct.pack("<BBH", 1, 1, 0) * 2 + extra
    image = struct.pack("<BBBBHHQQ", 0, 0, 8, 8, 1, 0, 0, 7) + bytes(16)
    fold = struct.pack("<QQQQIIIIQQ", 0x00014C4F46444E55, 0, 0, 9, 64 + len(image), 1, 0, 1, 3, 0) + image
    for name, second in (("outcome", outcome), ("fold", fold)):
        yield name, batch + bytes(max(0, len(second) - len(batch))) + second + bytes(max(0, len(batch) - len(second)))


def main():
    traces = sys.argv[2] if len(sys.argv) > 2 else None
    captures = glob.glob(os.path.join(ROOT, "tests/traces/*.pcap"))
    if traces and os.path.isdir(traces):
        captures += [p for p in glob.glob(os.path.join(traces, "**/*.pcap*"), recursive=True)
                     if os.path.isfile(p) and os.path.getsize(p) < 65536]
    for name, data in records():
        put("fuzz_records", name, data)
    for name, frames in catalogue():
        for vnf in VNFS:
            put("fuzz_" + vnf, name.replace(" ", "_"), packets(frames[:64]))
    for number, path in enumerate(sorted(captures)):
        if os.path.getsize(path) < 65536:
            put("fuzz_capture", f"capture{number}", open(path, "rb").read())
        frames = frames_of(path, 40)
        for vnf in VNFS if frames else ():
            put("fuzz_" + vnf, f"capture{number}", packets(frames))
    for path in glob.glob(os.path.join(ROOT, "deploy/examples/*.yaml")):
        put("fuzz_config", os.path.basename(path), open(path, "rb").read())
    for number, text in enumerate((b"kill edge/master @packet=5000", b"stop edge/slave @time=1.5", b"kill a/master")):
        put("fuzz_wire", f"fault{number}", text)
    put("fuzz_wire", "message", struct.pack("<IHHIIIIQQ", 616, 1, 1, 2, 0, 0, 7, 1, 0) + b"edge-0.1".ljust(64, b"\0") + bytes(512))
    put("fuzz_wire", "tags", ethernet(ipv4(6, tcp()), tags=[0x9A5E] * 3))


main()
