#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""curves.py cost BENCH.json | state | lag: draws docs/*.svg with build/understudy, and prints what they show.

cost    CPU a packet against flows, of what `build/bench_pipeline --json BENCH.json` found
state   outage and time to redundancy against the state that there is when the master is killed
lag     the same against how far behind its slave is then: it was stopped for so long
"""
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

COLOURS = ("#2471a3", "#c0392b", "#1e8449", "#7d3c98", "#d68910")
WIDTH, HEIGHT, LEFT, BOTTOM = 680, 320, 80, 40
PACKETS_A_SECOND = 100000
KILLS = int(os.environ.get("KILLS", "5"))
FIGURES = {"longest gap without a fault": None, "detected": "detect_us", "outage": "outage_us", "redundant again": "restored_us"}


def draw(path, title, unit, places, name_of, curves):
    """Both axes logarithmic; curves: name -> values at places."""
    shown = [value for each in curves.values() for value in each if value > 0]
    low, high = math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown)))
    first, last = math.log10(places[0]), math.log10(places[-1])
    x = lambda place: LEFT + (math.log10(place) - first) / (last - first) * (WIDTH - LEFT - 190)
    y = lambda value: HEIGHT - BOTTOM - (math.log10(value) - low) / (high - low) * (HEIGHT - BOTTOM - 30)
    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='11'>",
           f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/><text x='{LEFT}' y='18' font-size='13'>{title}</text>"]
    for power in range(low, high + 1):
        at = y(10 ** power)
        out.append(f"<line x1='{LEFT}' x2='{x(places[-1]):.0f}' y1='{at:.0f}' y2='{at:.0f}' stroke='#ddd'/>"
                   f"<text x='{LEFT - 6}' y='{at + 4:.0f}' text-anchor='end'>{10 ** power:g} {unit}</text>")
    for place in places:
        out.append(f"<text x='{x(place):.0f}' y='{HEIGHT - BOTTOM + 18}' text-anchor='middle'>{name_of(place)}</text>")
    for (name, each), colour in zip(curves.items(), COLOURS):
        points = " ".join(f"{x(p):.1f},{y(v):.1f}" for p, v in zip(places, each) if v > 0)
        out.append(f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='2'/>"
                   f"<text x='{x(places[-1]) + 6:.0f}' y='{y(each[-1]) + 4:.0f}' fill='{colour}'>{name}</text>")
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n</svg>\n")
    print(f"{title}, {unit}, drawn in {path}")
    print(" " * 30 + "".join(f"{name_of(place):>16}" for place in places))
    for name, each in curves.items():
        print(f"  {name:28}" + "".join(f"{value:16.1f}" for value in each))


class Chain:
    """A running NAT under gen: traffic."""

    def __init__(self, work, flows, more):
        self.run_dir, self.report, config = f"{work}/run", f"{work}/report.json", f"{work}/chain.yaml"
        dev = f"gen:flows={flows},size=64,rate={PACKETS_A_SECOND},count=1000000000000"
        with open(config, "w") as file:
            file.write(f"""chain: curve
ports: [{{id: 0, dev: "{dev}"}}, {{id: 1, dev: "null:"}}]
{more}
stages:
  - name: edge
    vnfs: [{{name: nat, config: {{inside: [10.0.0.0/8], pool: [192.0.2.0/24], capacity: {max(65536, flows * 2)}}}}}]
loggers: {{dir: {work}/log}}
""")
        self.process = subprocess.Popen(["build/understudy", "run", config, "--run-dir", self.run_dir, "--report", self.report],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def status(self):
        done = subprocess.run(["build/understudy", "status", "--json", "--run-dir", self.run_dir], capture_output=True, text=True)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait(self, is_so, seconds=300):
        """Until both replicas are ready and is_so(status); returns the status."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            status = self.status()
            if status and all(r["state"] == "ready" for r in status["replicas"]) and is_so(status):
                return status
            time.sleep(0.2)
        self.process.terminate()
        sys.exit(f"the chain did not come to where it should: {self.process.communicate()[1]}")

    def inject(self, fault):
        subprocess.run(["build/understudy", "inject", fault, "--run-dir", self.run_dir], check=True, stdout=subprocess.DEVNULL)

    def end(self):
        self.process.send_signal(signal.SIGINT)
        error = self.process.communicate()[1]
        if self.process.returncode != 0:
            sys.exit(f"the run failed: {error}")
        with open(self.report) as file:
            return json.load(file)


def medians(faulty, quiet):
    """Of the failovers of a run: by figure. And the longest gap of a run that had none."""
    if faulty["lost"] or faulty["duplicated"] or faulty["reordered"] or faulty["digest_mismatches"]:
        sys.exit("something was lost: these figures mean nothing")
    found = {name: statistics.median(f[key] for f in faulty["failovers"]) for name, key in FIGURES.items() if key}
    return {"longest gap without a fault": quiet["release_gap_max_us"], **found}


def measure(flows, more, fault, packets):
    """A run of so many packets without a fault, then one with KILLS of them, each once all is quiet again."""
    with tempfile.TemporaryDirectory() as work:
        chain = Chain(work, flows, more)
        chain.wait(lambda status: status["packets"]["released"] >= packets)
        quiet = chain.end()
    with tempfile.TemporaryDirectory() as work:
        chain = Chain(work, flows, more)
        status = chain.wait(lambda status: status["packets"]["released"] >= flows)
        for number in range(KILLS):
            fault(chain, status)
            status = chain.wait(lambda status: status["failovers"] > number)
            time.sleep(2)
            print(f"  {flows:,} flows: {number + 1} of {KILLS} kills", file=sys.stderr)
        return medians(chain.end(), quiet)


def columns(found):
    return {name: [each[name] for each in found] for name in FIGURES}


def state():
    places = (1000, 100000, 1000000, 5000000)
    found = [measure(flows, "journal: 256MiB", lambda chain, _: chain.inject("kill edge/master"), flows + 1000000)
             for flows in places]
    draw("docs/outage-by-state.svg", f"A master's death, median of {KILLS} kills", "us", places, lambda p: f"{p:,} flows", columns(found))


def kill_behind(chain, status, lag_ms):
    """The slave stands for so long; it goes on as the master dies."""
    pids = {each["role"]: each["pid"] for each in status["replicas"]}
    os.kill(pids["slave"], signal.SIGSTOP)
    time.sleep(lag_ms / 1000)
    chain.inject("kill edge/master")
    os.kill(pids["slave"], signal.SIGCONT)


def lag():
    places = (1, 10, 30, 100, 300, 1000)
    found = [measure(10000, "journal: 256MiB\nhang_ms: 5000", lambda chain, status: kill_behind(chain, status, ms), 2000000)
             for ms in places]
    draw("docs/outage-by-lag.svg", f"A master's death, its slave so far behind, median of {KILLS} kills", "us", places,
         lambda p: f"{p} ms", columns(found))


def cost(path):
    points = {1000: "64 B, 1 k flows, NAT", 10000: "10 k flows", 100000: "100 k flows", 1000000: "1 M flows"}
    with open(path) as file:
        bench = json.load(file)
    draw("docs/cost-by-flows.svg", "CPU a packet, all processes", "ns", tuple(points), lambda p: f"{p:,} flows",
         {mode: [bench[point][mode]["cpu_ns"] for point in points.values()] for mode in ("bare", "unprotected", "process", "disk")})


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    if len(sys.argv) == 3 and sys.argv[1] == "cost":
        cost(sys.argv[2])
    elif sys.argv[1:] in (["state"], ["lag"]):
        globals()[sys.argv[1]]()
    else:
        sys.exit(__doc__)


main()
