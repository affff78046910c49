# SPDX-License-Identifier: BSD-3-Clause
"""txn_plot.py BENCH.json OUT.svg: draws what `build/bench_txn --json BENCH.json` found of the load balancer:
throughput by new connections, and where the workers' time goes."""
import json
import sys

WAYS = {"serial": "#7d3c98", "locks": "#c0392b", "no locks": "#1e8449", "engine": "#2471a3"}
KINDS = {"useful": "#1e8449", "sync": "#aeb6bf", "lock": "#c0392b", "construct": "#d68910", "explore": "#f7dc6f", "others": "#5d6d7e"}
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 330, 60, 40, 50


def text(x, y, content, anchor="start", colour="#222"):
    return f"<text x='{x:.0f}' y='{y:.0f}' text-anchor='{anchor}' fill='{colour}'>{content}</text>"


def curves(points, workers):
    top = max(p[way]["mpps"] for p in points for way in WAYS) * 1.1
    x = lambda percent: LEFT + (percent - 5) / 55 * 300
    y = lambda mpps: HEIGHT - BOTTOM - mpps / top * (HEIGHT - BOTTOM - TOP)
    yield text(LEFT, 20, f"Load balancer, {workers} workers: Mpps by new connections")
    for step in range(int(top) + 1):
        yield f"<line x1='{LEFT}' x2='{x(60):.0f}' y1='{y(step):.0f}' y2='{y(step):.0f}' stroke='#ddd'/>"
        yield text(LEFT - 6, y(step) + 4, step, "end")
    for point in points:
        yield text(x(point["new_percent"]), HEIGHT - BOTTOM + 16, f"{point['new_percent']}%", "middle")
    for way, colour in WAYS.items():
        line = " ".join(f"{x(p['new_percent']):.1f},{y(p[way]['mpps']):.1f}" for p in points)
        yield f"<polyline points='{line}' fill='none' stroke='{colour}' stroke-width='2'/>"
    for at, (way, colour) in enumerate(WAYS.items()):
        yield text(LEFT + at * 75, HEIGHT - 10, way, colour=colour)


def bars(points):
    left, height = 480, HEIGHT - BOTTOM - TOP
    yield text(left, 20, "Where the workers' time goes")
    shown = [p for p in points if "time_percent" in p["engine"]]
    for group, point in enumerate(shown):
        for at, way in enumerate(WAYS):
            x, base = left + group * 180 + at * 42, HEIGHT - BOTTOM
            for kind, colour in KINDS.items():
                part = point[way]["time_percent"][kind] / 100 * height
                base -= part
                yield f"<rect x='{x}' y='{base:.1f}' width='30' height='{part:.1f}' fill='{colour}'/>"
            yield text(x + 15, HEIGHT - BOTTOM + 14, way, "middle")
        yield text(left + group * 180 + 75, HEIGHT - BOTTOM + 30, f"{point['new_percent']}% new", "middle")
    for at, (kind, colour) in enumerate(KINDS.items()):
        yield f"<rect x='{left + at * 62}' y='{HEIGHT - 17}' width='9' height='9' fill='{colour}'/>"
        yield text(left + at * 62 + 12, HEIGHT - 9, kind)


def main():
    bench = json.load(open(sys.argv[1]))
    points = bench["load_balancer"]
    with open(sys.argv[2], "w") as out:
        out.write(f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' font-family='sans-serif' font-size='11'>\n"
                  f"<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>\n")
        out.write("\n".join(list(curves(points, bench["workers"])) + list(bars(points))) + "\n</svg>\n")


main()
