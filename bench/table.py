#!/usr/bin/python3
"""Prints what bench/run.sh measured: bench/table.py RESULTS. Medians; ratios to the run named `peer`."""

import collections
import json
import statistics
import sys

# What each kind of run may take of the peer's time, at most.
LIMITS = {"cold": 0.70, "again, other user and first boot script": 0.15, "again, one more package": 0.35}
MEMORY_LIMIT = 200e6  # bytes


def main():
    """Reads the results and prints the table; exit code 1 where a limit is passed."""
    runs = collections.defaultdict(list)
    for line in open(sys.argv[1], encoding="utf-8"):
        run = json.loads(line)
        runs[run["name"]].append(run)
    peer = statistics.median(run["seconds"] for run in runs["peer"])
    passed = True
    print(f"{'run':42} {'n':>2} {'median s':>9} {'least–most':>13} {'ratio':>6} {'limit':>6} {'memory MB':>10}")
    for name, group in runs.items():
        seconds = [run["seconds"] for run in group]
        ratio, limit = statistics.median(seconds) / peer, LIMITS.get(name)
        held = max(run["memory"] for run in group)
        held_text = f"{held / 1e6:.0f}" if held else ""
        limit_text = f"{limit:.2f}" if limit else ""
        span = f"{min(seconds):.1f}–{max(seconds):.1f}"
        print(f"{name:42} {len(group):2} {statistics.median(seconds):9.1f} {span:>13} {ratio:6.2f} "
              f"{limit_text:>6} {held_text:>10}")
        passed &= (limit is None or ratio <= limit) and held <= MEMORY_LIMIT
    print(f"ratio: to the median of the plain mmdebstrap pipeline. memory: rvmb's own processes together, "
          f"at most {MEMORY_LIMIT / 1e6:.0f} MB.")
    print("all within the limits" if passed else "NOT within the limits")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
