"""The services that serve.py can run: how each is started, when it is ready, and what the tests are told of it.

To add one: a function that returns a `Service`, named in SERVICES.
"""

import base64
import io
import json
import os
import pwd
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree import ElementTree

from install import HERE, Problem, interpreter, postgres_bin, run

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's
VAULT = HERE.parent.parent / "vault" / "secret-vault-lambda.mjs"


@dataclass
class Service:
    command: list
    ready: Callable[[], bool]
    describe: Callable[[], dict]  # called once, when ready; may set the service up
    env: dict = field(default_factory=dict)
    identity: dict = field(default_factory=dict)  # the user to run as, in the words of Popen
    patience: int = 60  # seconds to become ready
    stop: signal.Signals = signal.SIGKILL  # there is nothing to save


# --- HTTP, past any proxy that the environment names -------------------------------------------------------------

opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url, body=None, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with opener.open(urllib.request.Request(url, body, headers), timeout=30) as response:
            return response.read()
    except urllib.error.HTTPError as error:
        raise Problem(f"{url} answered {error.code}: {error.read().decode(errors='replace')}") from error


def answers(url):
    try:
        return bool(call(url))
    except (OSError, Problem):
        return False


def credential(service):
    """Enough of a signature for an emulator that does not check it to know the service."""
    return f"AWS4-HMAC-SHA256 Credential=AKIA/20260101/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"


# --- The services ------------------------------------------------------------------------------------------------


def moto(args, home, port):
    endpoint = f"http://127.0.0.1:{port}"

    def iam(action, **parameters):
        query = urllib.parse.urlencode({"Action": action, "Version": "2010-05-08", **parameters})
        return ElementTree.fromstring(call(endpoint, query.encode(), Authorization=credential("iam")))

    def make_user(name, policy):
        iam("CreateUser", UserName=name)
        iam("PutUserPolicy", UserName=name, PolicyName=name, PolicyDocument=policy)
        key = iam("CreateAccessKey", UserName=name)
        return [key.find(f".//{{*}}{field}").text for field in ("AccessKeyId", "SecretAccessKey")]

    def describe():
        everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
        access_key_id, secret_access_key = make_user("keybroker", policy)
        admin_access_key_id, admin_secret_access_key = make_user("admin", json.dumps(everything))
        # From here on every call is signed by one of the two, and allowed or denied by its policy.
        call(f"{endpoint}/moto-api/reset-auth", b"0", Content_Type="text/plain")
        return {
            "endpoint": endpoint,
            "region": REGION,
            "account": ACCOUNT,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
            "admin_access_key_id": admin_access_key_id,
            "admin_secret_access_key": admin_secret_access_key,
        }

    if args.policy is None:
        raise Problem("moto needs --policy FILE, the policy of the user `keybroker`.")
    policy = args.policy.read_text()
    command = [interpreter(args.dir / "moto"), HERE / "moto_iam.py", "-H", "127.0.0.1", "-p", port]
    return Service(command, lambda: answers(f"{endpoint}/moto-api/data.json"), describe)


def localstack(args, home, port):
    endpoint = f"http://127.0.0.1:{port}"

    def describe():
        # A service is loaded by its first call, which takes seconds: make it here, not in a test with a time limit.
        headers = {"X_Amz_Target": "secretsmanager.ListSecrets", "Content_Type": "application/x-amz-json-1.1"}
        call(endpoint, b"{}", Authorization=credential("secretsmanager"), **headers)
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        return {"endpoint": endpoint, "region": REGION, "account": "000000000000", **keys}

    env = {
        "GATEWAY_SERVER": "hypercorn",  # the default server binds every address
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "SERVICES": "secretsmanager,iam,sts",
        "STRICT_SERVICE_LOADING": "1",
        "EAGER_SERVICE_LOADING": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",
        "FILESYSTEM_ROOT": str(home / "root"),
        "OVERRIDE_IN_DOCKER": "0",  # in any container it takes itself for its own image, and writes to /var/lib and /etc
    }
    command = [interpreter(args.dir / "localstack"), "-m", "localstack.runtime.main"]
    return Service(command, lambda: answers(f"{endpoint}/_localstack/health"), describe, env, patience=180)


def ministack(args, home, port):
    endpoint = f"http://127.0.0.1:{port}"

    def describe():
        call(f"{endpoint}/2015-03-31/functions/")  # loads the service, like the call to LocalStack
        return {"address": f"127.0.0.1:{port}", "template": uploaded(VAULT, "index.mjs")}

    env = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "lambda",
        "IOT_MTLS_ENABLED": "0",  # these two listen on ports of their own
        "SFTP_ENABLED": "0",
    }
    command = [interpreter(args.dir / "ministack"), "-m", "ministack"]
    return Service(command, lambda: answers(f"{endpoint}/_ministack/health"), describe, env)


def uploaded(source, name):
    """One file as Lambda takes code: a zip archive in base64."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.write(source, name)
    return base64.b64encode(archive.getvalue()).decode()


def postgres(args, home, port):
    bin, data = postgres_bin(), home / "data"
    if bin is None:
        raise Problem("PostgreSQL is not installed: run `python3 tests/services/install.py` first.")
    identity = {}
    if os.geteuid() == 0:  # as root it refuses to start
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
        identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    initdb = [bin / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
    run(*initdb, cwd=home, **identity)
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "max_connections": 300,
        "fsync": "off",
        "dynamic_shared_memory_type": "mmap",  # in the data directory, so that it goes with it
    }
    command = [bin / "postgres", "-D", data, *(f"--{name}={value}" for name, value in settings.items())]
    asking = [bin / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]
    return Service(
        command,
        lambda: subprocess.run(asking, check=False).returncode == 0,
        lambda: {"url": f"postgres://postgres@127.0.0.1:{port}/postgres"},
        identity=identity,
        stop=signal.SIGQUIT,  # its children lead groups of their own, and only it can stop them
    )


SERVICES = {service.__name__: service for service in (moto, localstack, ministack, postgres)}
