"""Installs what the tests run against: moto, LocalStack, MiniStack, PostgreSQL and a browser.

    python3 tests/services/install.py [--dir DIR]

Safe to repeat, and to run twice at once: what is there and matches its pins is left alone.
To add a service of Python's: a file of exact pins beside this one, and a line in `main`.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BROWSER = HERE.parent / "browser"
DEFAULT_DIR = HERE.parent.parent / "target" / "services"
STAMP = "installed"  # written last into a venv or a folder of modules: without it that is half-made
OLDEST_NODE = 20
CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Problem(Exception):
    """What the person at the keyboard has to put right."""


def run(*command, **options):
    """Runs a command in silence; its output is worth reading only when it fails."""
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-30:])
        raise Problem(f"`{' '.join(map(str, command))}` failed:\n{tail}")
    return done.stdout


# --- Python environments ---------------------------------------------------------------------------------------


def version_of(python):
    """(major, minor, …) of an interpreter that can make a venv; None of one that can't or that does not start."""
    try:
        out = run(python, "-c", "import ensurepip, venv, sys; print(*sys.version_info[:3])")
        return tuple(map(int, out.split()))
    except (OSError, Problem, ValueError):
        return None


def find_python(oldest):
    """The first interpreter not older than `oldest`. One on the PATH may be a pyenv shim that does not start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    candidates = [shutil.which("python3.13"), shutil.which("python3.12"), sys.executable, shutil.which("python3")]
    for release in ("3.13*", "3.12*", "3.*"):
        candidates += sorted(pyenv.glob(f"versions/{release}/bin/python3"))
    for python in filter(None, candidates):
        if (version_of(python) or ()) >= oldest:
            return python
    wanted = ".".join(map(str, oldest))
    raise Problem(
        f"LocalStack needs Python {wanted} or newer with the modules venv and ensurepip, and none was found.\n"
        f"Install one, for instance `apt-get install python{wanted}-venv` or `pyenv install {wanted}`."
    )


def install_venv(venv, python):
    """Makes `venv` hold exactly what the pin file of the same name lists."""
    pins = HERE / f"{venv.name}.txt"
    version = version_of(python)
    if version is None:
        raise Problem(f"{python} can't make a venv. On Debian install python3-venv.")
    wanted = hashlib.sha256(f"{venv} {version}\n{pins.read_text()}".encode()).hexdigest()
    stamp = venv / STAMP
    if stamp.exists() and stamp.read_text() == wanted and (venv / "bin" / "python").exists():
        print(f"{venv.name}: up to date")
        return
    if venv.exists():
        shutil.rmtree(venv)
    pip = [venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    run(python, "-m", "venv", venv)
    # The pins are complete, so nothing may be resolved; `check` proves that nothing was left out.
    run(*pip, "install", "--quiet", "--no-deps", "--requirement", pins)
    run(*pip, "check")
    stamp.write_text(wanted)
    print(f"{venv.name}: installed with Python {'.'.join(map(str, version))}")


def interpreter(venv):
    """The Python of a whole venv, for serve.py."""
    if not (venv / STAMP).exists():
        raise Problem(f"{venv} is not installed: run `python3 tests/services/install.py` first.")
    return venv / "bin" / "python"


# --- Packages of the system --------------------------------------------------------------------------------------


def can_apt_install():
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(*alternatives):
    """Installs the first of these packages that can be."""
    quiet = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
    run("apt-get", "update", **quiet)
    for package in alternatives:
        try:
            return run("apt-get", "install", "-y", "--no-install-recommends", package, **quiet)
        except Problem:
            if package == alternatives[-1]:
                raise


# --- PostgreSQL ------------------------------------------------------------------------------------------------


def postgres_bin():
    """The directory with `initdb` and `postgres`, or None. Debian keeps it off the PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda bin: bin.parent.name.zfill(4))[::-1]
    if found := shutil.which("initdb"):
        candidates.insert(0, Path(found).resolve().parent)
    if config := shutil.which("pg_config"):
        candidates.append(Path(run(config, "--bindir").strip()))
    return next((bin for bin in candidates if (bin / "initdb").exists() and (bin / "postgres").exists()), None)


def install_postgres():
    if found := postgres_bin():
        print(f"postgres: found in {found}")
        return
    if not can_apt_install():
        raise Problem("PostgreSQL's server is not installed: install the package `postgresql` (15 or newer).")
    # The package would make a cluster of its own and start it.
    setting = Path("/etc/postgresql-common/createcluster.d/keybroker-tests.conf")
    setting.parent.mkdir(parents=True, exist_ok=True)
    setting.write_text("create_main_cluster = false\n")
    try:
        apt_install("postgresql-15", "postgresql")  # the second for a distribution with another release
    finally:
        setting.unlink()
    print(f"postgres: installed in {postgres_bin()}")


# --- The browser -------------------------------------------------------------------------------------------------


def node_version():
    """Node's whole version, once it is known to be new enough and to have npm."""
    remedy = f"The browser tests need Node {OLDEST_NODE} or newer with npm: install it from https://nodejs.org."
    if not shutil.which("node") or not shutil.which("npm"):
        raise Problem(f"There is no `node` or no `npm` on the PATH. {remedy}")
    version = run("node", "--version").strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST_NODE:
        raise Problem(f"`node` is {version}. {remedy}")
    return version


def install_modules(modules):
    """Makes `modules` hold exactly what tests/browser/package-lock.json lists."""
    version = node_version()
    pins = [BROWSER / "package.json", BROWSER / "package-lock.json"]
    wanted = hashlib.sha256("\n".join([str(modules), version, *(pin.read_text() for pin in pins)]).encode()).hexdigest()
    stamp = modules / STAMP
    if stamp.exists() and stamp.read_text() == wanted and (modules / "node_modules").exists():
        print(f"{modules.name}: up to date")
        return
    if modules.exists():
        shutil.rmtree(modules)
    modules.mkdir()
    for pin in pins:
        shutil.copy(pin, modules)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=modules)
    stamp.write_text(wanted)
    print(f"{modules.name}: installed for Node {version}")


def find_chromium():
    """The browser that the tests will take: tests/browser/harness.mjs looks in the same places."""
    named = os.environ.get("KEYBROKER_TEST_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, CHROMIUMS)), None)


def install_chromium():
    found = find_chromium()
    if not found and os.environ.get("KEYBROKER_TEST_CHROMIUM"):
        raise Problem("KEYBROKER_TEST_CHROMIUM names no program: give it a Chromium's path, or unset it.")
    if not found:
        if not can_apt_install():
            raise Problem("Chromium is not installed: install the package `chromium`, or set KEYBROKER_TEST_CHROMIUM.")
        apt_install("chromium")
        found = find_chromium()
    said = run(found, "--version")  # fails for Ubuntu's stub, which wants snap
    if "Chrom" not in said:
        raise Problem(f"{found} is no Chromium: set KEYBROKER_TEST_CHROMIUM to the path of one.")
    print(f"chromium: found in {found}")


def main():
    parser = argparse.ArgumentParser(description="Install the services and the browser of the tests.")
    parser.add_argument("--dir", type=Path, default=DEFAULT_DIR, help="where the Python environments and modules go")
    directory = parser.parse_args().dir.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_venv(directory / "moto", sys.executable)
        install_venv(directory / "localstack", find_python((3, 12)))
        install_venv(directory / "ministack", sys.executable)
        install_postgres()
        install_modules(directory / "browser")
        install_chromium()


if __name__ == "__main__":
    if sys.version_info < (3, 11):
        sys.exit("Python 3.11 or newer is needed.")
    try:
        main()
    except Problem as problem:
        sys.exit(str(problem))
