"""What a scenario stands on: a folder and a database of its own, keybroker, and the stand-in for AWS."""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fill import CREDENTIALS, VERSION, Keys, execute, fill, make_tokens
from load import call
from servers import LOAD_CORE, ROOT, TOKEN, Problem, keybroker, migrate, pinned, settings, store

OUTPUT = ROOT / "target" / "bench"


@dataclass
class Bench:
    """How much is measured."""

    rounds: int
    seconds: int
    many: int  # keys
    cold: int  # keys
    cached: list  # numbers of connections
    sizes: list  # numbers of connections in the database
    database: str = "sqlite"
    postgres: "Postgres" = field(default_factory=lambda: Postgres())

    def say(self, text):
        print(f"  {text}", file=sys.stderr, flush=True)

    @contextmanager
    def place(self, database=None):
        """A folder for one scenario, and the URL of an empty database. Both go afterwards."""
        OUTPUT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="run-", dir=OUTPUT) as folder:
            if (database or self.database) == "sqlite":
                yield Path(folder), f"sqlite:{folder}/keybroker.db"
                return
            with self.postgres.database(Path(folder).name.replace("-", "_").lower()) as url:
                yield Path(folder), url


class Postgres:
    """A PostgreSQL server, on the core of the load; started when it is first asked for."""

    def __init__(self):
        self.process = None

    def url(self):
        if self.process is None:
            serve = [sys.executable, ROOT / "tests" / "services" / "serve.py", "postgres"]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(serve, stdin=pipe, stdout=pipe, text=True, preexec_fn=pinned(LOAD_CORE))
            line = self.process.stdout.readline()
            if not line:
                raise Problem("PostgreSQL did not start; `python3 tests/services/install.py` installs it")
            self.base = json.loads(line)["url"]
        return self.base

    @contextmanager
    def database(self, name):
        execute(self.url(), [f"CREATE DATABASE {name}"])
        try:
            yield f"{self.url().rsplit('/', 1)[0]}/{name}"
        finally:
            execute(self.url(), [f"DROP DATABASE {name} WITH (FORCE)"])

    def stop(self):
        if self.process is not None:
            self.process.stdin.close()  # its end is what it waits for
            self.process.wait(timeout=60)


@contextmanager
def filled(folder, url, count, tokens=1, milliseconds=0, **others):
    """A keybroker whose database has so many connections, their tokens, and the store that answers after some time."""
    with stand_in(folder, milliseconds) as double:
        environment = settings(folder, url, double, **others)
        migrate(environment, folder)
        fill(url, count)
        with keybroker(folder, environment) as server:
            if tokens == 1:  # the one that reaches everything
                file = folder / "tokens"
                file.write_text(TOKEN + "\n")
            else:
                file = make_tokens(server, folder, count // 10, tokens)
            yield server, Keys(count, file), double


def stand_in(folder, milliseconds):
    """The store that answers every question with the same key."""
    answer = folder / "secret.json"
    answer.write_text(json.dumps({"VersionId": VERSION, "SecretString": CREDENTIALS}))
    return store(folder, answer, milliseconds)


def calls_of(double):
    """What the store was asked since this was last asked."""
    return json.loads(call(double, "GET", "/calls")[1])


def answer_of(server, path, folder):
    """An answer of keybroker's, for the ceiling to give. Some headers each server makes itself."""
    headers, body = call(server, "GET", path)
    headers = {name: value for name, value in headers.items() if name not in ("date", "content-length", "connection")}
    file = folder / "answer.json"
    file.write_text(json.dumps({"headers": headers, "body": body}))
    return file
