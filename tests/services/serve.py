"""Runs one service for as long as the process that started this one lives.

    python3 tests/services/serve.py {moto --policy FILE | localstack | ministack | postgres} [--dir DIR]

When the service is ready, one line of JSON on stdout says how to reach it. At the end of stdin, which comes however the
parent dies, or at SIGTERM or SIGINT, the service is killed and its temporary directory removed.
"""

import argparse
import contextlib
import ctypes
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # importing must not leave a __pycache__ in the source tree

from install import DEFAULT_DIR, Problem
from services import SERVICES


def free_port():
    """A port below the range that the kernel hands out, so that no client's socket takes it before the service does."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def start(service, home):
    """Starts the service in a session of its own, knowing nothing of this process's environment."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **service.env}
    libc = ctypes.CDLL(None)

    def die_with_parent():  # should this process be killed before it can clean up
        if sys.platform == "linux":
            PR_SET_PDEATHSIG = 1
            libc.prctl(PR_SET_PDEATHSIG, service.stop)

    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            list(map(str, service.command)),
            cwd=home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
            **service.identity,
        )


def watch(process, seconds):
    """Waits a while. Ends this program when the parent has gone, and fails when the service has."""
    readable, _, _ = select.select([sys.stdin], [], [], seconds)
    if readable and not os.read(sys.stdin.fileno(), 4096):
        sys.exit(0)
    if process.poll() is not None:
        raise Problem(f"it ended with status {process.returncode}")


def stop(process, service):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    process.send_signal(service.stop)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def serve(make_service, args, home):
    service = make_service(args, home, free_port())
    process = start(service, home)
    try:
        deadline = time.monotonic() + service.patience
        while not service.ready():
            watch(process, 0.05)
            if time.monotonic() > deadline:
                raise Problem(f"it was not ready after {service.patience} s")
        watch(process, 0)  # it was this service that answered
        print(json.dumps(service.describe()), flush=True)
        while True:
            watch(process, 1)
    except (OSError, Problem) as problem:
        tail = (home / "log").read_text(errors="replace").splitlines()[-40:]
        raise Problem("\n".join([*tail, f"{args.service}: {problem}"])) from problem
    finally:
        stop(process, service)


def main():
    parser = argparse.ArgumentParser(description="Run one service until stdin ends.")
    parser.add_argument("service", choices=SERVICES)
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="where install.py put the Python environments")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="moto: the IAM policy of the user `keybroker`")
    args = parser.parse_args()
    args.dir = args.dir.resolve()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    # Test runners kill a test's process group: leave it, to outlive the test by the moment that cleaning up takes.
    # From an interactive shell that is neither possible nor wanted.
    with contextlib.suppress(PermissionError):
        os.setsid()
    prefix = f"keybroker-{args.service}-"
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as home:
        serve(SERVICES[args.service], args, Path(home))


if __name__ == "__main__":
    try:
        main()
    except (OSError, Problem) as problem:
        sys.exit(str(problem))
