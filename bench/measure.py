#!/usr/bin/python3
"""Runs a command and notes what it cost.

    bench/measure.py RESULTS NAME LOG PROGRAM -- COMMAND…

Appends a line of JSON to RESULTS: name, wall time in seconds, and the most memory that the processes
of PROGRAM (a path; `-` for none) held at once, in bytes. What they share is counted once (proportional
set size, proc_pid_smaps_rollup(5)), and the programs that they start are not counted. Exits as the
command did.
"""

import json
import os
import subprocess
import sys
import threading
import time

INTERVAL = 0.1  # seconds between two looks at the memory


def memory(program):
    """Bytes held by all processes whose program is this file."""
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe") != program:
                continue
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
        except OSError:
            continue  # ended meanwhile
    return total


def main():
    """Measures one run."""
    results, name, log, program, dashes, *command = sys.argv[1:]
    if dashes != "--" or not command:
        sys.exit(__doc__)
    program = os.path.realpath(program) if program != "-" else None
    peak, done = 0, threading.Event()

    def watch():
        nonlocal peak
        while not done.wait(INTERVAL):
            peak = max(peak, memory(program))

    watcher = threading.Thread(target=watch) if program else None
    start = time.monotonic()
    with open(log, "wb") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT)
        if watcher:
            watcher.start()
        code = process.wait()
    seconds = time.monotonic() - start
    done.set()
    if watcher:
        watcher.join()
    with open(results, "a", encoding="utf-8") as file:
        print(json.dumps({"name": name, "seconds": seconds, "memory": peak, "code": code}), file=file)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
