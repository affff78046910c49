# SPDX-License-Identifier: BSD-3-Clause
"""recount.py REPORT.json OUT.pcap PORT...: counts connections and bytes of each of the balancer's servers in
the output, by tshark, and prints where the report says otherwise."""
import json
import subprocess
import sys

CLOSED_S = 120  # a segment that opens a connection after its end makes a new one
FIELDS = ("frame.time_epoch", "frame.len", "ip.src", "ip.dst", "ip.proto", "tcp.srcport", "udp.srcport",
          "tcp.dstport", "udp.dstport", "tcp.flags", "ip.frag_offset")


def rows(capture, servers):
    wanted = " or ".join(f"ip.addr == {server}" for server in servers)
    command = ["tshark", "-n", "-r", capture, "-o", "ip.defragment:FALSE", "-Y", f"({wanted}) and not icmp", "-T", "fields"]
    for field in FIELDS:
        command += ["-e", field]
    for line in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        yield dict(zip(FIELDS, line.split("\t")))


def recount(capture, servers):
    counts = {server: {"connections": 0, "bytes_to": 0, "bytes_from": 0, "open": 0} for server in servers}
    known = {}  # connection: set of sides that have closed it
    for row in rows(capture, servers):
        to_server = row["ip.dst"] in counts
        server = row["ip.dst" if to_server else "ip.src"]
        counts[server]["bytes_to" if to_server else "bytes_from"] += int(row["frame.len"])
        if int(row["ip.frag_offset"] or 0) != 0:
            continue
        ports = [row["tcp.srcport"] or row["udp.srcport"], row["tcp.dstport"] or row["udp.dstport"]]
        client = row["ip.src" if to_server else "ip.dst"]
        key = (client, ports[0 if to_server else 1], server, ports[1 if to_server else 0], row["ip.proto"])
        flags = int(row["tcp.flags"] or "0", 16)
        opens = to_server and (row["ip.proto"] == "17" or flags & 0x12 == 0x02)
        if opens and (key not in known or known[key] == {"to", "from"}):
            counts[server]["connections"] += 1
            known[key] = set()
        if flags & 0x01 and key in known:
            known[key].add("to" if to_server else "from")
        if flags & 0x04 and key in known:
            known[key] = {"to", "from"}
    for key, closed in known.items():
        counts[key[2]]["open"] += closed != {"to", "from"}
    return counts


def main():
    report = json.load(open(sys.argv[1]))
    figures = {}
    for stage in report["vnfs"].values():
        for name, value in stage.items():
            parts = name.split("/")
            if parts[0] == "load_balancer" and len(parts) == 3 and parts[1][0].isdigit():
                figures.setdefault(parts[1], {})[parts[2]] = value
    if not figures:
        print("the report has no servers")
        return
    counts = recount(sys.argv[2], list(figures))
    if not any(count["connections"] for count in counts.values()):
        print("no connection was balanced")
    for server, count in counts.items():
        if count != figures[server]:
            print(f"{server}: report {figures[server]}, output {count}")


main()
