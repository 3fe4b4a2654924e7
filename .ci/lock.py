"""Writes the lock files from pyproject.toml; `make lock` runs it, a test checks that nobody forgot to.

Each lock file opens with a digest of what it was resolved from. An edit of a dependency in pyproject.toml changes the
digest, so a stale lock is found without asking an index.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RUNTIME, DEV = "requirements.lock", "requirements-dev.lock"
GROUPS = {RUNTIME: ("build",), DEV: ("build", "dev")}
EXTRAS: dict[str, tuple[str, ...]] = {
    RUNTIME: ("s3", "postgres", "parquet"),
    DEV: ("s3", "postgres", "parquet", "server"),
}


def inputs_digest(pyproject: Path, lock: str) -> str:
    """The sha256 (hex) of everything in pyproject.toml that the named lock file is resolved from."""
    data = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    parts = {
        "python": data["project"]["requires-python"],
        "dependencies": data["project"]["dependencies"],
        "groups": {group: data["dependency-groups"][group] for group in GROUPS[lock]},
        "extras": {extra: data["project"]["optional-dependencies"][extra] for extra in EXTRAS[lock]},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def header(lock: str) -> str:
    """The comment lines that open a lock file."""
    digest = inputs_digest(ROOT / "pyproject.toml", lock)
    return f"# Written by `make lock`; do not edit. Every platform, every supported Python.\n# inputs: {digest}\n"


def write_lock(lock: str, uv: str, extra: list[str]) -> None:
    """Resolves one lock file, keeping the versions it already holds wherever they still fit.

    Raises:
        subprocess.CalledProcessError: The resolver found no solution; its own message is on stderr.
    """
    target = ROOT / lock
    groups = [argument for group in GROUPS[lock] for argument in ("--group", f"pyproject.toml:{group}")]
    extras = [argument for extra in EXTRAS[lock] for argument in ("--extra", extra)]
    pins = [] if lock == RUNTIME else ["--constraints", RUNTIME]
    command = [uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"]
    command += [
        "--no-header",
        "--no-annotate",
        *groups,
        *extras,
        *pins,
        *extra,
        "pyproject.toml",
        "--output-file",
        lock,
    ]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    target.write_text(header(lock) + target.read_text(encoding="utf-8"), encoding="utf-8")


def main() -> int:
    """Writes both lock files, the runtime one first since the other is constrained by it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--uv", default="uv", help="the uv to resolve with")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    arguments = parser.parse_args()
    for lock in (RUNTIME, DEV):
        write_lock(lock, arguments.uv, ["--upgrade"] if arguments.upgrade else [])
        print(f"wrote {lock}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
