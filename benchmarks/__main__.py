"""``python -m benchmarks [NAME …]``: measure, then print one table. Needs root, as the platform does."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback

from benchmarks import (
    chaos,
    creation,
    dashboard,
    echoes,
    hundred,
    idle,
    issuing,
    killed,
    latency,
    metrics,
    reloads,
    reloads100,
    renewals,
    thousand,
    throughput,
    tls,
)
from benchmarks.report import Row, show
from benchmarks.stage import stage

# In this order: memory before load, and nothing runs beside what is timed.
GROUPS = {
    "hundred": hundred.run,
    "creation": creation.run,
    "throughput": throughput.run,
    "metrics": metrics.run,
    "latency": latency.run,
    "tls": tls.run,
    "idle": idle.run,
    "reloads": reloads.run,
    "reloads100": reloads100.run,
    "echoes": echoes.run,
    "killed": killed.run,
    "issuing": issuing.run,
    "renewals": renewals.run,
    "dashboard": dashboard.run,
    "thousand": thousand.run,
    "chaos": chaos.run,
}
# What a quick run leaves out unless it is named.
LONG = ("reloads100", "echoes", "killed", "issuing", "renewals", "dashboard", "thousand", "chaos")


def main() -> int:
    """Exit code 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure: {', '.join(GROUPS)}; default all")
    parser.add_argument("--rounds", type=int, help="rounds of what is repeated (5; quick: 2)")
    parser.add_argument(
        "--quick",
        action="store_true",
        help=f"a first impression: fewer and shorter rounds; {', '.join(LONG)} only when named",
    )
    options = parser.parse_args()
    unknown = set(options.names) - set(GROUPS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(GROUPS)}")
    if os.geteuid() != 0:
        parser.error("the platform needs root: sudo make bench")
    names = options.names or [name for name in GROUPS if not (options.quick and name in LONG)]
    began = time.monotonic()
    rows: list[Row] = []
    with stage(rounds=options.rounds or (2 if options.quick else 5), quick=options.quick) as on:
        for name, run in GROUPS.items():
            if name not in names:
                continue
            try:
                rows += run(on)
            except Exception as error:
                traceback.print_exc()
                on.show_logs()
                rows.append(Row(name, "could not be measured", "", f"{type(error).__name__}: {error}", "", False))
    show(rows, time.monotonic() - began)
    return 0 if all(row.reached for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
