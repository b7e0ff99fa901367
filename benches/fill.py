"""Fills a database directly, by SQL that both databases take: the API would need hours for a million connections.

The rows are such as keybroker makes: ten connections for an organization, each with the event of its creation,
and a token for every ten organizations.
"""

import json
import sqlite3
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from load import call
from servers import ROOT, Problem

sys.path.append(str(ROOT / "tests" / "services"))
from install import postgres_bin  # noqa: E402

# Of every connection: what the store answers has the same, so it is never asked twice.
VERSION = "01900000-0000-7000-8000-000000000000"
HASH = "0" * 64
MADE_AT, CHECK_AFTER = 1_700_000_000_000, 4_000_000_000_000
CREDENTIALS = json.dumps({"apiKey": "k" * 137}, separators=(",", ":"))  # 150 bytes
STATE_PATH = "/v1/orgs/org_%d/connections/connection-%d"
CREDENTIALS_PATH = f"{STATE_PATH}/credentials"
PAST_CACHE = "Cache-Control: no-cache"

NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"

CONNECTIONS = (
    "INSERT INTO connections (org, name, provider, status, source, version, generation, fields, check_after, "
    f"created_at, updated_at) {NUMBERS} SELECT 'org_' || (i / 10), 'connection-' || (i % 10), 'custom', 'active', "
    f"'managed', '{VERSION}', 1, '[{{\"name\":\"apiKey\",\"hint\":\"…kkkk\"}}]', {CHECK_AFTER}, {MADE_AT}, {MADE_AT} "
    "FROM n"
)

EVENTS = (
    "INSERT INTO events (number, id, org, type, at, actor, actor_id, connection, version, origin, sequence, hash) "
    f"{NUMBERS} SELECT i + 1000, '01900000-0000-7000-8000-' || substr(CAST(1000000000000 + i AS TEXT), 2), "
    f"'org_' || (i / 10), 'connection.created', {MADE_AT}, "
    "'{\"type\":\"operator\",\"id\":\"import\",\"name\":null}', "
    f"'import', 'connection-' || (i % 10), '{VERSION}', '{VERSION}', i % 10 + 1, '{HASH}' FROM n"
)

CHAINS = (
    "INSERT INTO event_chains (org, newest_sequence, newest_hash, pruned_sequence, pruned_hash) "
    f"SELECT org, MAX(sequence), '{HASH}', 0, '{HASH}' FROM events WHERE number >= 1000 GROUP BY org"
)

SECRETS = (
    f"INSERT INTO local_secrets (name, version, stage, key_id, sealed, created_at) {NUMBERS} "
    "SELECT 'tenant/org_' || (i / 10) || '/connection-' || (i % 10), "
    f"'{VERSION}', 'current', '{{key_id}}', '{'A' * 240}', {MADE_AT} FROM n"
)

COUNTER = "UPDATE event_counter SET newest = {count} + 1000"


@dataclass
class Keys:
    """How many connections there are, and a file with the tokens that read them."""

    count: int
    tokens: Path


def fill(database_url, count, key_id=None):
    """Makes so many connections in a database that has none; in the embedded store too, if there is a key's id."""
    # Else PostgreSQL does it in the background, while requests are measured.
    tidy = ["ANALYZE"] if database_url.startswith("sqlite:") else ["VACUUM (ANALYZE)", "CHECKPOINT"]
    statements = [CONNECTIONS, EVENTS, CHAINS, COUNTER, *([SECRETS] if key_id else []), *tidy]
    values = {"{count}": str(count), "{key_id}": key_id or ""}
    for name, value in values.items():
        statements = [statement.replace(name, value) for statement in statements]
    execute(database_url, statements)


def execute(database_url, statements):
    if database_url.startswith("sqlite:"):
        with sqlite3.connect(database_url.removeprefix("sqlite:")) as database:
            for statement in statements:
                database.execute(statement)
        database.close()
        return
    commands = [part for statement in statements for part in ("-c", statement)]
    psql = [postgres_bin() / "psql", "-q", "-v", "ON_ERROR_STOP=1", database_url]
    done = subprocess.run([*psql, *commands], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Problem(done.stderr)


def make_tokens(server, folder, orgs, tokens):
    """Makes tokens that share the organizations, in order, and writes them into a file."""
    file, each = folder / "tokens", orgs // tokens
    with file.open("w") as lines:
        for number in range(tokens):
            reach = [f"org_{org}" for org in range(number * each, (number + 1) * each)]
            body = {"name": f"bench {number}", "scopes": ["credentials:read"], "orgs": reach}
            lines.write(json.loads(call(server, "POST", "/v1/tokens", body)[1])["token"] + "\n")
    file.chmod(0o600)
    return file
