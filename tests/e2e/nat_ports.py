# SPDX-License-Identifier: BSD-3-Clause
"""nat_ports.py IN.pcap OUT.pcap INSIDE...: by tshark, from a NAT's input and output alone: prints what is wrong
if an outside endpoint stood for two inside endpoints within a minute, or an inside one for two outside."""
import collections
import ipaddress
import subprocess
import sys

REUSE_S = 60  # the shortest timeout of the example is longer
FIELDS = ("frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ip.proto", "ip.id", "tcp.srcport", "udp.srcport",
          "tcp.dstport", "udp.dstport", "tcp.seq_raw")


def rows(capture):
    command = ["tshark", "-n", "-r", capture, "-o", "ip.defragment:FALSE",
               "-Y", "(tcp or udp) and not icmp and ip.frag_offset == 0", "-T", "fields"]
    for field in FIELDS:
        command += ["-e", field]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        yield dict(zip(FIELDS, line.split("\t")))


def identity(row):
    """What translation of the source leaves as it is."""
    return tuple(row[f] for f in ("frame.len", "ip.dst", "ip.proto", "ip.id", "tcp.dstport", "udp.dstport", "tcp.seq_raw"))


def source(row):
    return row["ip.src"], row["tcp.srcport"] or row["udp.srcport"], row["ip.proto"]


def main():
    inside = [ipaddress.ip_network(prefix) for prefix in sys.argv[3:]]
    sent = collections.defaultdict(collections.deque)
    for row in rows(sys.argv[2]):
        sent[identity(row)].append(source(row))
    stands_for, known_as, seen = {}, {}, 0
    for row in rows(sys.argv[1]):
        address = ipaddress.ip_address(row["ip.src"])
        if not any(address in network for network in inside):
            continue
        if any(ipaddress.ip_address(row["ip.dst"]) in network for network in inside) or not sent[identity(row)]:
            continue
        outside, now, inner = sent[identity(row)].popleft(), float(row["frame.time_epoch"]), source(row)
        seen += 1
        for table, key, value in ((stands_for, outside, inner), (known_as, inner, outside)):
            before = table.get(key)
            if before is not None and before[0] != value and now - before[1] < REUSE_S:
                print(f"{'/'.join(key)} is {'/'.join(before[0])}, and {'/'.join(value)} {now - before[1]:.3f} s later")
                return
            table[key] = (value, now)
    if seen == 0:
        print("nothing was translated")


main()
