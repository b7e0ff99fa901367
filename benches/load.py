"""Requests: single ones, many by wrk, and five hundred at once."""

import http.client
import json
import socket
import subprocess
from pathlib import Path

from servers import LOAD_CORE, TOKEN, Problem, pinned

WRK = Path(__file__).resolve().parent / "wrk"


def call(server, method, path, body=None, token=TOKEN, **headers):
    """One request, and its answer: headers and body."""
    connection = http.client.HTTPConnection(server.address, timeout=60)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    if answer.status >= 400:
        raise Problem(f"{method} {path}: {answer.status} {text}")
    return {name.lower(): value for name, value in answer.getheaders()}, text


def run_wrk(server, path, script, connections, seconds, *arguments):
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", WRK / script]
    command += ["-H", f"Authorization: Bearer {TOKEN}", f"http://{server.address}{path}", "--", *arguments]
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=pinned(LOAD_CORE), check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        raise Problem(f"wrk ended without a result: {done.stdout}{done.stderr}")
    result = json.loads(lines[-1])
    if result["failed"]:
        raise Problem(f"{result['failed']} of {result['requests']} requests to {server.name} failed; see {server.log}")
    return result


def one_key(server, path, connections, seconds):
    """Asks for one thing over and over."""
    return run_wrk(server, path, "done.lua", connections, seconds)


def random_keys(server, keys, path, connections, seconds, header=None):
    """Asks for connections at random."""
    return ask_for_keys("random", server, keys, path, connections, seconds, header)


def each_key_once(server, keys, path, connections, header=None):
    """Asks for every connection one time."""
    return ask_for_keys("once", server, keys, path, connections, 3600, header)


def ask_for_keys(order, server, keys, path, connections, seconds, header):
    arguments = [order, keys.count, path, keys.tokens, *([header] if header else [])]
    return run_wrk(server, "", "keys.lua", connections, seconds, *arguments)


def at_once(server, path, readers):
    """So many requests for one thing, all sent before an answer is read. Returns the statuses."""
    host, port = server.address.split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    sockets = [socket.create_connection((host, int(port)), timeout=60) for _ in range(readers)]
    for connection in sockets:
        connection.sendall(request.encode())
    statuses = []
    for connection in sockets:
        with connection, connection.makefile("rb") as answer:
            statuses.append(int(answer.readline().split()[1]))
            answer.read()
    return statuses
