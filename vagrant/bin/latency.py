"""Prints throughput and latency of runs of hey side by side, and draws the latter.

    latency.py OUT.svg "NAME: GLOB" …

A run is what `hey -o csv` prints: a line for each request, with the seconds that it
took first and the second in which it began last. The runs that a pattern matches
count together.
"""

import csv
import glob
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot, ticker  # noqa: E402

PERCENTILES = (50, 75, 90, 95, 99, 99.9)


def read(pattern):
    """Latencies in ms, in order; requests a second; how many answers were no 200."""
    latencies, seconds, others = [], 0.0, 0
    for name in glob.glob(pattern):
        with open(name, newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            sys.exit(f"latency.py: no request of {name} was answered")
        ends = [float(row["offset"]) + float(row["response-time"]) for row in rows]
        seconds += max(ends) - min(float(row["offset"]) for row in rows)
        good = [row for row in rows if row["status-code"] == "200"]
        others += len(rows) - len(good)
        latencies += [1000 * float(row["response-time"]) for row in good]
    if not latencies:
        sys.exit(f"latency.py: no request of {pattern} was answered with status 200")
    return sorted(latencies), len(latencies) / seconds, others


def percentile(ordered, p):
    """The smallest that p percent are not above."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))]


def print_table(ways):
    print(f"{'':18}" + "".join(f"{name:>20}" for name, *_ in ways))
    print(f"{'requests/s':18}" + "".join(f"{rate:20.0f}" for _, _, rate, _ in ways))
    for p in PERCENTILES:
        print(f"{f'p{p} (ms)':18}" + "".join(f"{percentile(ordered, p):20.2f}" for _, ordered, _, _ in ways))
    print(f"{'answers but 200':18}" + "".join(f"{others:20}" for *_, others in ways))


def draw(ways, out):
    """Latency by percentile: what one request in ten, a hundred, a thousand takes."""
    pyplot.rcParams["svg.hashsalt"] = "latency"  # the same runs give the same file
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for name, ordered, rate, _ in ways:
        shares = [1 - n / len(ordered) for n in range(len(ordered))]
        thinned = range(0, len(ordered), max(1, len(ordered) // 2000))
        tail = range(max(0, len(ordered) - 100), len(ordered))
        at = sorted({*thinned, *tail})
        axes.plot([1 / shares[n] for n in at], [ordered[n] for n in at], label=f"{name} ({rate:.0f} requests/s)")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 2, 10, 100, 1000], ["0%", "50%", "90%", "99%", "99.9%"])
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.set(xlabel="percentile", ylabel="latency (ms)", title="A sum of add-svc, directly and through two sidecars")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(out, metadata={"Date": None})


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ways = []
    for argument in sys.argv[2:]:
        name, _, pattern = argument.partition(": ")
        ways.append((name, *read(pattern)))
    print_table(ways)
    draw(ways, sys.argv[1])
    print(f"\nThe distribution is drawn in {sys.argv[1]}")


if __name__ == "__main__":
    main()
