# SPDX-License-Identifier: BSD-3-Clause
"""What tests/compare/run.sh measured, as a table: table.py RUNS FILE.json ABOUT SETUP...

RUNS has a folder for each run, it one for each setup, it one for each of crash_protected, fastest_protected and
fastest_unprotected, with what the clients printed. A measure that does not apply to a setup is not in its column.
"""
import json
import os
import re
import statistics
import sys

# Of each row: what it is called in the table, and in the result.
ROWS = (
    ("UDP probe, 1000 a second", None),
    ("  lost of %d", "udp_lost"),
    ("  duplicated", "udp_duplicated"),
    ("  longest gap between echoes, ms", "udp_gap_ms"),
    ("  ... before the crash", "udp_gap_before_ms"),
    ("  slowest echo, ms", "udp_slowest_ms"),
    ("  ... before the crash", "udp_slowest_before_ms"),
    ("short TCP connections, 100 a second", None),
    ("  failed of %d", "short_failed"),
    ("  slowest, ms", "short_ms"),
    ("  ... before the crash", "short_before_ms"),
    ("long TCP connections, a line each 20 ms", None),
    ("  survived of %d", "talk_survived"),
    ("  longest wait for an echo, ms", "talk_ms"),
    ("  ... before the crash", "talk_before_ms"),
    ("TCP connections opened in the last 100 ms", None),
    ("  survived of %d", "fresh_survived"),
    ("  longest wait for an echo, ms", "fresh_ms"),
    ("TCP transfer at 4 MB/s", None),
    ("  byte for byte (1: yes)", "bulk_intact"),
    ("  longest stall, ms", "bulk_ms"),
    ("  ... before the crash", "bulk_before_ms"),
    ("state", None),
    ("  connections that the survivor knows", "state_entries"),
    ("  ... that only the dead router knew", "state_missing"),
    ("  batches done differently by two replicas", "digest_mismatches"),
    ("  redundant again after ms", "restored_ms"),
    ("  takeovers without a crash", "needless_takeovers"),
    ("  the crash itself took, ms", "crash_ms"),
    ("throughput", None),
    ("  one connection, MB/s, protected", "protected_mb_s"),
    ("  ... unprotected", "unprotected_mb_s"),
    ("  ... ratio", "mb_s_ratio"),
    ("  short connections a second, protected", "protected_connections_s"),
    ("  ... unprotected", "unprotected_connections_s"),
    ("  ... ratio", "connections_s_ratio"),
)
OF = {"udp_lost": ("udp", "sent"), "short_failed": ("short", "connections"),
      "talk_survived": ("talk", "connections"), "fresh_survived": ("fresh", "connections")}
ENTRY = re.compile(r"^(tcp|udp)\s.*?src=(10\.9\.0\.2) dst=(\S+) sport=(\d+) dport=(\d+)", re.M)


def load(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return json.load(file)


def entries(*path):
    """The clients' connections in what conntrack or conntrackd lists."""
    with open(os.path.join(*path), encoding="utf-8") as file:
        return set(ENTRY.findall(file.read()))


def takeovers(folder):
    """How often the NAT was taken over by another replica or router, except for the first."""
    if os.path.exists(os.path.join(folder, "takeovers")):
        return load(folder, "takeovers") - 1
    return len(load(folder, "report.json")["failovers"])


def result(folder):
    """All measures of one run of one setup."""
    at = os.path.join(folder, "crash_protected")
    seen = {kind: load(at, kind + ".out") for kind in ("udp", "short", "talk", "fresh", "bulk", "crash")}
    found = {
        "udp_lost": seen["udp"]["lost"],
        "udp_duplicated": seen["udp"]["duplicated"],
        "udp_gap_ms": seen["udp"]["after_ms"],
        "udp_gap_before_ms": seen["udp"]["before_ms"],
        "udp_slowest_ms": seen["udp"]["echo_after_ms"],
        "udp_slowest_before_ms": seen["udp"]["echo_before_ms"],
        "short_failed": seen["short"]["failed"],
        "talk_survived": seen["talk"]["survived"],
        "fresh_survived": seen["fresh"]["survived"],
        "bulk_intact": seen["bulk"]["intact"],
        "crash_ms": seen["crash"]["dead_ms"],
    }
    for kind in ("short", "talk", "fresh", "bulk"):
        found[kind + "_ms"] = seen[kind]["after_ms"]
        found[kind + "_before_ms"] = seen[kind]["before_ms"]
    loaded = os.path.join(folder, "fastest_protected")
    if os.path.exists(os.path.join(at, "report.json")):
        report = load(at, "report.json")
        found["state_entries"] = load(at, "survivor.out")["vnfs"]["edge"]["nat/nat_out/entries"]
        found["digest_mismatches"] = report["digest_mismatches"]
        found["restored_ms"] = round(max(one["restored_us"] for one in report["failovers"]) / 1e3, 1)
    else:
        dead, survivor = entries(at, "dead"), entries(at, "survivor.out")
        if survivor <= dead:  # else it had taken over when it was looked at
            found["state_entries"], found["state_missing"] = len(survivor), len(dead - survivor)
    if os.path.exists(loaded):
        protected = load(loaded, "fastest.out")
        unprotected = load(folder, "fastest_unprotected", "fastest.out")
        for key, name in (("megabytes_a_second", "mb_s"), ("connections_a_second", "connections_s")):
            found["protected_" + name], found["unprotected_" + name] = protected[key], unprotected[key]
            found[name + "_ratio"] = round(protected[key] / unprotected[key], 3)
    # One was asked for; some were so early that the run was done again.
    asked = [name for name in os.listdir(folder) if "unprotected" not in name]
    found["needless_takeovers"] = sum(takeovers(os.path.join(folder, name)) for name in asked) - 1
    found["of"] = {row: seen[kind][total] for row, (kind, total) in OF.items()}
    found["errors"] = {kind: seen[kind].get("errors") or seen[kind].get("error") or "" for kind in seen}
    return found


def cell(values):
    """One value, or median, least and most."""
    if len(values) < 2:
        return f"{values[0]:g}" if values else "-"
    return f"{statistics.median(values):g} ({min(values):g} - {max(values):g})"


def main():
    folder, path, about, *words = sys.argv[1:]
    runs = sorted(os.listdir(folder), key=int)
    results = {setup: [result(os.path.join(folder, run, setup)) for run in runs] for setup in words}
    print(about)
    width = 26 if len(runs) > 1 else 13
    print(f"{'after the crash, unless said otherwise':44}" + "".join(f"{setup:>{width}}" for setup in words))
    for name, key in ROWS:
        if key is None:
            print(name)
            continue
        if key in OF:
            name %= results[words[0]][0]["of"][key]
        values = {setup: [one[key] for one in results[setup] if key in one] for setup in words}
        print(f"{name:44}" + "".join(f"{cell(values[setup]):>{width}}" for setup in words))
    if len(runs) > 1:
        print(f"{len(runs)} runs: median (least - most)")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"version": 1, "about": about, "runs": len(runs), "setups": results}, file, indent=2)
        file.write("\n")


main()
