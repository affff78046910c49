#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes docs/MATRIX.md: which fault met which component at which moment, and was survived.

    build/sim --schedules 20000 --json sim.json
    FAULTS=1200 RESULTS=live tests/e2e/campaign.sh
    tests/sim/matrix.py sim.json live/at-*.json
"""
import json
import sys

KINDS = (("process killed", "killed"), ("process stopped for good", "stopped"),
         ("process stopped, and woken later", "paused"), ("machine stalls", "stalled"))

RARE = "-"
ELSEWHERE = "*"


def count(moments, moment, kind):
    return sum(n for name, n in moments[moment].items() if name.startswith(kind))


def cell(moments, moment):
    parts = [f"{word} {n}" for kind, word in KINDS if (n := count(moments, moment, kind))]
    return ", ".join(parts)


def main():
    sim = json.load(open(sys.argv[1]))
    live = [json.load(open(path)) for path in sys.argv[2:]]
    met = sim["met"]
    processes = [name for name in met if not name.startswith("all at once")]
    out = ["# Faults, whom they met, and when", "",
           "Written by `tests/sim/matrix.py` from the simulator's and the live campaign's results; each number is how often a",
           "fault met that component at that moment, and everything that can be checked held afterwards (`docs/TESTING.md`).", "",
           f"## In the simulator: {sim['schedules']:,} schedules from seed {sim['seed']}, {sim['violations']} violations", "",
           "A point is reached by whichever process comes to it; the fault meets that process or another one, whatever it is",
           "doing then. `-`: it was not there to be met in these schedules (few have a disk, or a restore, going on then). `*`: faults of",
           "loggers are drawn for their own points, and for any time and any store of theirs: the last rows.", "",
           "| moment | " + " | ".join(processes) + " |", "|---" * (len(processes) + 1) + "|"]
    for moment in met[processes[0]]:
        cells = [cell(met[name], moment) or (ELSEWHERE if name.startswith("logger") else RARE) for name in processes]
        out.append(f"| {moment} | " + " | ".join(cells) + " |")
    shared = {kind: n for kind, n in sim["faults"].items() if not any(kind.startswith(known) for known, _ in KINDS)}
    out += ["", "Of all at once, or of what they share: " + "; ".join(f"{kind}: {n}" for kind, n in shared.items()) + ".",
            f"Packets that replicas crash on, set aside: {sim['sometimes']['a packet that replicas crash on is set aside']} times."]
    if live:
        lost = sum(r["lost"] + r["duplicated"] + r["reordered"] + r["digest_mismatches"] for r in live)
        faults = sum(r["faults"] for r in live)
        packets = sum(r["run"]["packets"]["released"] for r in live)
        out += ["", f"## Live: {faults:,} faults, {packets:,} packets; lost, duplicated, reordered or different: {lost}", "",
                "Real processes, RocksDB and shared memory under `gen:` load at 50%, 90% and 120% of what the chain does without a",
                "fault (`tests/e2e/campaign.sh`); milliseconds from the fault, p50 / p99 / max.", "",
                "| component | times | detected | promoted | first release | outage | all in its place |", "|---|---|---|---|---|---|---|"]
        rows = {}
        for r in live:
            for name, row in r["components"].items():
                rows.setdefault(name, []).append(row)
        for name in sorted(rows):
            n = sum(row["count"] for row in rows[name])
            cells = []
            for key in ("detect_us", "promote_us", "first_release_us", "outage_us", "restored_us"):
                p50 = sum(row[key]["p50"] * row["count"] for row in rows[name]) / n / 1e3
                p99 = max(row[key]["p99"] for row in rows[name]) / 1e3
                most = max(row[key]["max"] for row in rows[name]) / 1e3
                cells.append(f"{p50:.2f} / {p99:.1f} / {most:.1f}")
            out.append(f"| {name} | {n} | " + " | ".join(cells) + " |")
        out += ["", "p50 is the mean of the three loads' medians, weighted; p99 the highest of the three. On two shared cores nine busy",
                "processes wait for each other: the longest gaps without any fault were "
                + ", ".join(f"{r['run_without_faults']['release_gaps']['max_us'] / 1e3:.1f} ms" for r in live) + "."]
    open("docs/MATRIX.md", "w").write("\n".join(out) + "\n")


main()
