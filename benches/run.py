"""Measures keybroker against a bare axum server that answers with the same bytes.

    python3 benches/run.py [SCENARIO…] [--smoke] [--rounds N] [--seconds N] [--million] [--database postgres]

Builds the release, runs the scenarios, prints a table for each, and writes target/bench/results.json, report.md and
plot.svg. Needs Linux, two cores (the servers run on one, the load on the other), Python 3.11 and wrk, and for the
scenario `scale` PostgreSQL (`python3 tests/services/install.py`). All takes about half an hour; a smoke run a minute
or two, and its figures say nothing.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys

sys.dont_write_bytecode = True  # importing must not leave a __pycache__ in the source tree

from plot import plot  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402
from servers import LOAD_CORE, ROOT, SERVER_CORE, TICK, Problem  # noqa: E402
from setup import OUTPUT, Bench  # noqa: E402
from summary import table  # noqa: E402


def main():
    options = parse()
    check_machine()
    if not options.no_build:
        build()
    if options.smoke:
        bench = Bench(rounds=2, seconds=1, many=2_000, cold=500, cached=[1_000], sizes=[100, 10_000])
    else:
        cached = [1_000, 100_000, 1_000_000] if options.million else [1_000, 100_000]
        sizes = [1_000, 1_000_000]
        bench = Bench(options.rounds, options.seconds, many=100_000, cold=10_000, cached=cached, sizes=sizes)
    bench.database = options.database
    results = {}
    try:
        for name in options.scenarios or SCENARIOS:
            print(f"{name} …", file=sys.stderr)
            results[name] = SCENARIOS[name](bench)
            print(f"\n{results[name].title}\n\n{table(results[name].columns, results[name].rows)}\n", flush=True)
    finally:
        bench.postgres.stop()
        if results:
            write(results, options)


def parse():
    parser = argparse.ArgumentParser(description="Measure keybroker against a bare axum server.")
    all_of_them = f"{', '.join(SCENARIOS)}; all if none is named"
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=all_of_them)
    parser.add_argument("--smoke", action="store_true", help="little of everything, to see whether it runs")
    parser.add_argument("--rounds", type=int, default=10, help="runs of keybroker, each between two of the ceiling")
    parser.add_argument("--seconds", type=int, default=5, help="how long a run takes")
    parser.add_argument("--million", action="store_true", help="memory with 1,000,000 cached connections, too")
    databases = ("sqlite", "postgres")
    parser.add_argument("--database", choices=databases, default="sqlite", help="of all but scale, which takes both")
    parser.add_argument("--no-build", action="store_true", help="measure what was built before")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    return options


def check_machine():
    if platform.system() != "Linux":
        raise Problem("The benches read CPU times from /proc and pin programs to cores: they need Linux.")
    if not {SERVER_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise Problem("The benches need two cores: one for the server, one for the load.")
    if shutil.which("wrk") is None:
        raise Problem("wrk is not installed: `apt-get install wrk`, `brew install wrk`, or https://github.com/wg/wrk.")


def build():
    command = ["cargo", "build", "--release", "--locked", "--bin", "keybroker"]
    command += ["--example", "ceiling", "--example", "store"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode != 0:
        raise Problem("The release can't be built.")


def write(results, options):
    about = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "commit": git("rev-parse", "--short", "HEAD") + ("" if git("status", "--porcelain") == "" else ", changed"),
        "rounds": options.rounds,
        "seconds": options.seconds,
        "smoke": options.smoke,
        "database": options.database,
        "cpu_accounting_resolution_seconds": TICK,
    }
    whole = {"about": about, "results": {name: vars(result) for name, result in results.items()}}
    (OUTPUT / "results.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False))
    parts = [f"### {result.title}\n\n{table(result.columns, result.rows)}\n" for result in results.values()]
    (OUTPUT / "report.md").write_text("\n".join(parts))
    (OUTPUT / "plot.svg").write_text(plot(results))
    print(f"results.json, report.md and plot.svg are in {OUTPUT.relative_to(ROOT)}", file=sys.stderr)


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        main()
    except Problem as problem:
        sys.exit(str(problem))
