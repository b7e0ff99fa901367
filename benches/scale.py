"""The scenario of a large database: what is asked of it takes as long as of a small one, on both kinds."""

import sqlite3
import subprocess

from fill import CREDENTIALS_PATH, PAST_CACHE, STATE_PATH, fill, postgres_bin
from load import call, random_keys
from servers import keybroker, migrate, settings
from setup import filled
from summary import Result, spread

# What is asked, the path, and a header. The keys are asked for past the cache.
QUESTIONS = [
    ("a connection's state", STATE_PATH, None),
    ("a connection's keys, past the cache", CREDENTIALS_PATH, PAST_CACHE),
    ("the first page of an organization's connections", "/v1/orgs/org_%d/connections?limit=5", None),
    ("the first page of its events", "/v1/orgs/org_%d/events?limit=5", None),
]


def scale(bench):
    """Start-up and single requests, with few and with very many connections in the database."""
    found = {}
    for database in ("sqlite", "postgres"):
        for count in bench.sizes:
            found[database, count] = {**starts(bench, database, count), **requests(bench, database, count)}
            for what, p50 in found[database, count].items():
                bench.say(f"{database}, {count:,} connections: {what}: {p50:.2f} ms")
    rows = []
    for database in ("sqlite", "postgres"):
        for what in found[database, bench.sizes[0]]:
            rows.append([database, what, *(f"{found[database, count][what]:.2f}" for count in bench.sizes)])
    columns = ["database", "median, ms", *(f"{count:,} connections" for count in bench.sizes)]
    data = {f"{database} {count}": p50s for (database, count), p50s in found.items()}
    return Result("Start and single requests, by the number of connections in the database", columns, rows, data)


def starts(bench, database, count):
    """From the command to the line that says where it listens. The embedded store, which looks at what it holds."""
    with bench.place(database) as (folder, url):
        environment = settings(folder, url)
        migrate(environment, folder)
        with keybroker(folder, environment) as server:
            call(server, "PUT", "/v1/orgs/acme/connections/custom", {"credentials": {"apiKey": "any"}})
        fill(url, count, key_id=key_id(url))
        times = []
        for _ in range(min(bench.rounds, 5)):
            with keybroker(folder, environment) as server:
                times.append(server.started_in * 1000)
    return {"start": spread(times)["median"]}


def requests(bench, database, count):
    """One after the other, so that a request's time is its own."""
    with bench.place(database) as (folder, url), filled(folder, url, count) as (server, keys, _):
        return {
            what: random_keys(server, keys, path, 1, bench.seconds, header)["p50_us"] / 1000
            for what, path, header in QUESTIONS
        }


def key_id(url):
    """Under which master key the embedded store's secrets are."""
    question = "SELECT key_id FROM local_secrets"
    if url.startswith("sqlite:"):
        return sqlite3.connect(url.removeprefix("sqlite:")).execute(question).fetchone()[0]
    psql = [postgres_bin() / "psql", "-tAq", url, "-c", question]
    return subprocess.run(psql, capture_output=True, text=True, check=True).stdout.strip()
