"""The servers that are measured: each on one core, with its CPU time and memory as the kernel accounts for them."""

import base64
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RELEASE = ROOT / "target" / "release"
SERVER_CORE, LOAD_CORE = 0, 1
TOKEN = "kb_bootstrap-token-of-the-benches"
TICK = 1 / os.sysconf("SC_CLK_TCK")  # of the kernel's accounting, in seconds


class Problem(Exception):
    """What the person at the keyboard has to put right."""


def pinned(core):
    """For Popen's preexec_fn: what is started runs on that core alone."""
    return lambda: os.sched_setaffinity(0, {core})


class Server:
    """A running program that says where it listens."""

    def __init__(self, name, command, folder, environment=None, core=SERVER_CORE):
        self.name, self.log = name, folder / f"{name}.log"
        began = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)),
                env={"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                preexec_fn=pinned(core),
            )
        line = self.process.stdout.readline()
        self.started_in = time.monotonic() - began
        if not line.startswith("listening on http://"):
            tail = self.log.read_text(errors="replace").splitlines()[-5:]
            raise Problem("\n".join([f"{name} did not start:", *tail]))
        self.address = line.strip().removeprefix("listening on http://")

    def cpu(self):
        """CPU seconds it has used so far, in user and kernel together."""
        after_name = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(after_name[11]) + int(after_name[12])) * TICK

    def memory(self):
        """Bytes it holds in memory now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise Problem(f"{self.name} has ended; see {self.log}")

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.resume()
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=30)
        self.process.kill()
        self.process.wait()


def settings(folder, database_url, store=None, **others):
    """The environment of a keybroker: the embedded store, unless there is a stand-in for AWS."""
    key = folder / "master.key"
    if not key.exists():
        key.write_bytes(base64.b64encode(os.urandom(32)))
        key.chmod(0o600)
    aws = {
        "AWS_ENDPOINT_URL": f"http://{store.address}" if store else "",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return {
        "KEYBROKER_DATABASE_URL": database_url,
        "KEYBROKER_STORE": "aws" if store else "local",
        "KEYBROKER_MASTER_KEY_FILE": str(key),
        "KEYBROKER_BOOTSTRAP_TOKEN": TOKEN,
        "KEYBROKER_LISTEN": "127.0.0.1:0",
        "KEYBROKER_ADMIN_LISTEN": "127.0.0.1:0",
        **(aws if store else {}),
        **others,
    }


def migrate(environment, folder):
    """Makes the database, or brings it up to date."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
    done = subprocess.run([RELEASE / "keybroker", "migrate"], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise Problem(done.stderr)


def keybroker(folder, environment):
    return Server("keybroker", [RELEASE / "keybroker", "serve"], folder, environment)


def ceiling(folder, answer):
    allocator = {"MIMALLOC_PURGE_DELAY": "10000"}  # as keybroker sets its own
    return Server("ceiling", [RELEASE / "examples" / "ceiling", "127.0.0.1:0", answer], folder, allocator)


def store(folder, answer, milliseconds):
    command = [RELEASE / "examples" / "store", "127.0.0.1:0", milliseconds, answer]
    return Server("store", command, folder, core=LOAD_CORE)
