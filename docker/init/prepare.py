"""Prepares the development stack: the IAM user with its policy and access key, and an API token.

Safe to repeat: what is there and still works is kept.
"""

import configparser
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import boto3

NAME = "keybroker"
CREDENTIALS = Path("/aws/credentials")  # in the form that AWS SDKs read
TOKEN = Path("/token/token")
TOKEN_NAME = "compose"
SCOPES = [
    "connections:read",
    "connections:write",
    "credentials:read",
    "proxy:use",
    "sessions:write",
    "vault:write",
    "events:read",
    "tokens:write",
]


def keybroker(*args):
    """What the program prints. It is asked for the policy too, since it knows best what it calls."""
    done = subprocess.run(["keybroker", *args], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return done.stdout


def write_private(file, text):
    """Whole or not at all, and for nobody else to read."""
    draft = file.with_suffix(".new")
    draft.unlink(missing_ok=True)
    with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as stream:
        stream.write(text)
    draft.rename(file)


def allow_user(iam, account, region):
    policy = keybroker("iam", "policy", "--account", account, "--region", region)
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_user(UserName=NAME)
    iam.put_user_policy(UserName=NAME, PolicyName=NAME, PolicyDocument=policy)
    print(f"IAM user {NAME} of account {account} has the policy of `keybroker iam policy`")


def give_access_key(iam):
    known = configparser.ConfigParser()
    known.read(CREDENTIALS)
    kept = known.get("default", "aws_access_key_id", fallback=None)
    keys = [key["AccessKeyId"] for key in iam.list_access_keys(UserName=NAME)["AccessKeyMetadata"]]
    if kept in keys:
        print("its access key is there")
        return
    for key in keys:  # whose secret half is lost
        iam.delete_access_key(UserName=NAME, AccessKeyId=key)
    key = iam.create_access_key(UserName=NAME)["AccessKey"]
    id, secret = key["AccessKeyId"], key["SecretAccessKey"]
    write_private(CREDENTIALS, f"[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n")
    print("its access key is made")


def give_token():
    rows = [line.split("  ") for line in keybroker("token", "list").splitlines()]
    ids = [row[0] for row in rows if row[1] == TOKEN_NAME]
    if ids and TOKEN.exists():
        print("the API token is there")
        return
    for id in ids:
        keybroker("token", "revoke", id)
    token = keybroker("token", "create", "--name", TOKEN_NAME, "--all-orgs", "--scope", ",".join(SCOPES))
    write_private(TOKEN, token)
    print("the API token is made")


def main():
    iam, sts = boto3.client("iam"), boto3.client("sts")
    allow_user(iam, sts.get_caller_identity()["Account"], sts.meta.region_name)
    give_access_key(iam)
    give_token()


if __name__ == "__main__":
    main()
