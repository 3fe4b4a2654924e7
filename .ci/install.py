"""Installs a lock file into the environment this runs in; `make setup` runs it.

uv does it in seconds; pip, which reads all that its indexes have of every package, in minutes. What pip is configured
with (indexes, folders of wheels, certificates, a proxy) goes for uv too; where uv fails nevertheless, pip does it.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV = "requirements-dev.lock"
"""Pins uv, with its hashes."""
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
PINNED = ("--require-hashes", "--no-deps")
"""The lock is whole (a test checks), so nothing is resolved."""
AS_UV: Mapping[str, tuple[str, str]] = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "no-index": ("UV_NO_INDEX", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
"""pip's options as variables of uv, and what parts several values there."""


def uv_environment(listed: str) -> dict[str, str]:
    """The variables that tell uv what pip is configured with.

    Args:
        listed: What `pip config list` prints: `section.option='value'`, those of the environment first.
    """
    found: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        variable, comma = AS_UV.get(name.rpartition(".")[2], ("", ""))
        if variable:
            found.setdefault(variable, comma.join(str(ast.literal_eval(value)).split()))
    return found


def stanza(lock: str, package: str) -> str:
    """A package's lines of a lock file.

    Raises:
        LookupError: It is not pinned there.
    """
    found = re.search(rf"^{package}==.*?(?=^\S|\Z)", lock, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f"{package} is not pinned")
    return found[0]


def _install_with_uv(lock: Path) -> bool:
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
        wanted.write(stanza((ROOT / DEV).read_text(encoding="utf-8"), "uv"))
        wanted.flush()
        if subprocess.run([*PIP, "install", "-qq", *PINNED, "-r", wanted.name], check=False).returncode:
            return False
    listed = subprocess.run([*PIP, "config", "list"], check=True, capture_output=True, text=True).stdout
    # As pip does, the pinned file may come from any index: its hash decides.
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--index-strategy", "unsafe-best-match"]
    command += [*PINNED, "--python", sys.executable, "-r", str(lock)]
    return not subprocess.run(command, env={**uv_environment(listed), **os.environ}, check=False).returncode


def main() -> int:
    """Install the lock file that is named; returns pip's exit code."""
    lock = Path(sys.argv[1])
    if _install_with_uv(lock):
        return 0
    print("uv could not install it; pip does, which takes some minutes.", flush=True)
    return subprocess.run([*PIP, "install", "-qq", *PINNED, "--no-compile", "-r", str(lock)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
