"""The scenarios: what is set up, asked and measured in each.

To add one: a function that takes a `Bench` and returns a `Result`, named in SCENARIOS.
"""

import json
import time

import pairs
from fill import CREDENTIALS, CREDENTIALS_PATH, PAST_CACHE, STATE_PATH, Keys
from load import at_once, call, each_key_once, one_key, random_keys
from scale import scale
from servers import ceiling, keybroker, migrate, settings
from setup import answer_of, calls_of, filled
from summary import Result, show, spread

CONNECTIONS = 64
STORE_CONCURRENCIES = (16, 32, 64, 128)
REHEARSAL = 10  # seconds
LONG = {"KEYBROKER_CACHE_TTL": "3600s"}  # for scenarios of warm reads alone: nothing expires meanwhile
NOTHING_GIVEN = "If-None-Match: *"  # the key is loaded and cached, but not given, so the audit log is not told


def warm(bench):
    """One key, read over and over."""
    with bench.place() as (folder, url):
        path = "/v1/orgs/acme/connections/custom"
        environment = settings(folder, url)
        migrate(environment, folder)
        with keybroker(folder, environment) as server:
            call(server, "PUT", path, {"credentials": json.loads(CREDENTIALS)})
            path += "/credentials"
            with ceiling(folder, answer_of(server, path, folder)) as bare:

                def load(server):
                    return one_key(server, path, CONNECTIONS, bench.seconds)

                load(server)
                paired = pairs.alternate((bare, server), load, bench.rounds, bench.say)
    return paired_result("One warm key", paired)


def many(bench):
    """Many keys of many organizations with many tokens, uniformly random."""
    count, tokens = bench.many, bench.many // 100
    with bench.place() as (folder, url):
        with filled(folder, url, count, tokens, **LONG) as (server, keys, _):
            each_key_once(server, keys, CREDENTIALS_PATH, CONNECTIONS)
            with ceiling(folder, answer_of(server, CREDENTIALS_PATH % (0, 0), folder)) as bare:

                def load(server):
                    return random_keys(server, keys, CREDENTIALS_PATH, CONNECTIONS, bench.seconds)

                load(server)
                paired = pairs.alternate((bare, server), load, bench.rounds, bench.say)
    return paired_result(f"{count:,} keys of {count // 10:,} organizations with {tokens:,} tokens, at random", paired)


def paired_result(title, paired):
    columns = ["median (quartiles)", "ceiling", "keybroker", "keybroker ÷ ceiling"]
    return Result(title, columns, pairs.rows(paired), data=paired)


def cold(bench):
    """Many readers of one cold key; and many cold keys, at a store that takes its time."""
    rows, data = [], {}
    with bench.place() as (folder, url), filled(folder, url, bench.cold, milliseconds=20) as (server, keys, double):
        statuses = at_once(server, CREDENTIALS_PATH % (0, 0), 500)
        calls = calls_of(double)
        data["stampede"] = {"readers": len(statuses), "answered": statuses.count(200), "store_calls": calls["calls"]}
        rows.append([f"one cold key, {statuses.count(200)} answered", calls["calls"], "", "", ""])
    for concurrency in STORE_CONCURRENCIES:
        others = {"milliseconds": 20, "KEYBROKER_STORE_CONCURRENCY": str(concurrency)}
        with bench.place() as (folder, url), filled(folder, url, bench.cold, **others) as (server, keys, double):
            cpu = server.cpu()
            each_key_once(server, keys, CREDENTIALS_PATH, 500)
            cpu, calls = server.cpu() - cpu, calls_of(double)
            ideal = bench.cold * 0.020 / concurrency
            data[f"concurrency_{concurrency}"] = {**calls, "cpu_seconds": cpu, "ideal_seconds": ideal}
            rows.append([f"{bench.cold:,} cold keys, `KEYBROKER_STORE_CONCURRENCY={concurrency}`", calls["calls"],
                         calls["most_at_once"], f"{calls['seconds']:.2f} ({ideal:.2f})",
                         f"{cpu / bench.cold * 1e6:.0f}"])
    columns = ["500 readers", "store calls", "at once, at most", "seconds (by the store alone)", "CPU a key, µs"]
    return Result("Cold keys, at a store that takes 20 ms", columns, rows, data=data)


def memory(bench):
    """What a cached connection takes."""
    rows, data = [], {}
    for count in bench.cached:
        kept = spread([cached_bytes(bench, count) for _ in range(min(bench.rounds, 3 if count > 10_000 else 9))])
        data[count] = kept
        rows.append([f"{count:,}", show(kept, 0)])
    columns = ["cached connections of 150 bytes", "bytes each, median (quartiles)"]
    return Result("Memory", columns, rows, data=data)


def cached_bytes(bench, count):
    """Every connection is looked up, and a few are loaded many times, until nothing but the cache grows any more."""
    others = {"KEYBROKER_CACHE_MAX_BYTES": "8GiB", "KEYBROKER_DATABASE_CONNECTIONS": "2", **LONG}
    with bench.place() as (folder, url), filled(folder, url, count, **others) as (server, keys, _):
        each_key_once(server, keys, STATE_PATH, CONNECTIONS)
        random_keys(server, Keys(10, keys.tokens), CREDENTIALS_PATH, CONNECTIONS, REHEARSAL, PAST_CACHE)
        time.sleep(pairs.SETTLE)
        before = server.memory()
        each_key_once(server, keys, CREDENTIALS_PATH, CONNECTIONS, NOTHING_GIVEN)
        time.sleep(pairs.SETTLE)
        each = (server.memory() - before) / count
    bench.say(f"{count:>10,} connections: {each:.0f} bytes each")
    return each


def calls(bench):
    """Store calls of warm reads, with a short TTL: they go with the keys in use and not with the reads."""
    count, ttl, ttls = 100, 10, 3
    seconds = ttl * ttls
    with bench.place() as (folder, url):
        with filled(folder, url, count, KEYBROKER_CACHE_TTL=f"{ttl}s") as (server, keys, double):
            each_key_once(server, keys, CREDENTIALS_PATH, CONNECTIONS)
            calls_of(double)
            run = random_keys(server, keys, CREDENTIALS_PATH, CONNECTIONS, seconds)
            made = calls_of(double)["calls"]
    per_key = made / count / ttls
    per_million = made / run["requests"] * 1e6
    row = [f"{run['requests']:,}", f"{made:,}", f"{per_key:.2f}", f"{per_million:.0f}"]
    row.append(f"{per_million * ttl / 300:.1f}")
    columns = ["reads", "store calls", "a key and TTL", f"a million reads, TTL {ttl} s", "the same at a TTL of 300 s"]
    data = {"reads": run["requests"], "calls": made, "keys": count, "ttl": ttl, "ttls": ttls}
    return Result(f"Store calls of {count} keys in use for {seconds} s", columns, [row], data=data)


SCENARIOS = {scenario.__name__: scenario for scenario in (warm, many, cold, memory, calls, scale)}
