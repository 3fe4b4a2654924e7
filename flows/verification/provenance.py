"""Which code made an episode: the package's version and, in a checkout, the commit and whether it was changed."""

from __future__ import annotations

import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from blocks.frozen import Frozen
from blocks.settings import settings

_PACKAGE = "trigpoint"
_ROOT = Path(__file__).resolve().parents[2]
_GIT_TIMEOUT_S = 10


class CodeVersion(Frozen):
    """The code an episode was made with."""

    package: str
    """Version of the installed package; "unknown" where it is not installed."""
    commit: str | None = None
    """The commit's full id; None outside a checkout."""
    dirty: bool | None = None
    """Whether tracked files differ from the commit; None outside a checkout."""
    build: str | None = None
    """Digest of the sources of the flow image, as in `build/images.json`; None outside that image."""


@cache
def code_version() -> CodeVersion:
    """The version of this code, looked up once per process."""
    try:
        package = version(_PACKAGE)
    except PackageNotFoundError:
        package = "unknown"
    commit = _git("rev-parse", "--verify", "HEAD") if (_ROOT / ".git").exists() else None
    if commit is None:
        return CodeVersion(package=package, build=settings().build or None)
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return CodeVersion(package=package, commit=commit, dirty=None if changes is None else bool(changes))


def _git(*words: str) -> str | None:
    """What git says; None where there is no git or it refuses, which only means that the commit is not known."""
    command = ["git", "-C", str(_ROOT), "--no-optional-locks", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
