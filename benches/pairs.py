"""Runs keybroker and the ceiling in turn, so that each run of keybroker stands between two of the ceiling.

On a shared machine requests per second flap; CPU time per request hardly does, and what is left of it cancels out
between neighbours. While one server is measured the other is stopped (SIGSTOP), so that neither disturbs the other and
what keybroker does in the background falls into its own time.
"""

import time

from summary import show, spread

# After a run, for what keybroker does twice a second: it belongs to the run.
SETTLE = 1.5


def alternate(servers, load, rounds, say):
    """Measures `rounds` runs of keybroker. `load` sends requests to a server and tells what wrk measured."""
    ceiling, keybroker = servers
    keybroker.pause()
    runs = [measure(ceiling, load, say)]
    for _ in range(rounds):
        runs.append(measure(keybroker, load, say))
        runs.append(measure(ceiling, load, say))
    keybroker.resume()
    return compare(runs[0::2], runs[1::2])


def measure(server, load, say):
    server.resume()
    cpu = server.cpu()
    run = load(server)
    time.sleep(SETTLE)
    run["cpu_us"] = (server.cpu() - cpu) / run["requests"] * 1e6
    run["rps"] = run["requests"] / run["seconds"]
    run["memory"] = server.memory()
    server.pause()
    cost, p99 = f"{run['cpu_us']:6.2f} µs CPU a request", f"p99 {run['p99_us'] / 1000:.2f} ms"
    say(f"{server.name:>10}: {run['rps']:8.0f}/s, {cost}, {p99}")
    return run


def compare(ceilings, keybrokers):
    """What each run of keybroker is of the mean of its two neighbours; capacity is the inverse of CPU time."""
    paired = {"capacity": [], "rps": [], "p50": [], "p99": []}
    for run, before, after in zip(keybrokers, ceilings, ceilings[1:], strict=False):
        mean = {name: (before[name] + after[name]) / 2 for name in before}
        paired["capacity"].append(mean["cpu_us"] / run["cpu_us"])
        paired["rps"].append(run["rps"] / mean["rps"])
        paired["p50"].append(run["p50_us"] / mean["p50_us"])
        paired["p99"].append(run["p99_us"] / mean["p99_us"])
    return {
        "ceiling": of_all(ceilings),
        "keybroker": of_all(keybrokers),
        "ratio": {name: spread(values) for name, values in paired.items()},
        "runs": {"ceiling": ceilings, "keybroker": keybrokers},
    }


def of_all(runs):
    return {name: spread([run[name] for run in runs]) for name in ("cpu_us", "rps", "p50_us", "p99_us", "memory")}


def rows(paired):
    """The result as a table's rows."""
    ceiling, keybroker, ratio = paired["ceiling"], paired["keybroker"], paired["ratio"]

    def row(what, name, of, digits, unit=1):
        shown = [show(side[name], digits, unit) for side in (ceiling, keybroker)]
        return [what, *shown, show(ratio[of], 2) if of else ""]

    return [
        row("CPU time a request, µs; capacity as a share", "cpu_us", "capacity", 2),
        row("requests a second", "rps", "rps", 0),
        row("p50, ms", "p50_us", "p50", 2, 1000),
        row("p99, ms", "p99_us", "p99", 2, 1000),
        row("memory, MB", "memory", None, 1, 1e6),
    ]
