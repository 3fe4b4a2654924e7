"""Which files outside its scratch folder honest code reads: the interpreter's libraries, fonts, time zones."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from pathlib import Path

_SHARED = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
)
DEVICES_READ = ("/dev/urandom", "/dev/random")
DEVICES_WRITTEN = ("/dev/null",)


@cache
def interpreter_folders() -> tuple[Path, ...]:
    """The standard library and the installed packages of the running interpreter. Never a folder of the user's own."""
    named = [sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    named.append(str(Path(sysconfig.__file__).resolve().parent))
    folders = {Path(name).resolve() for name in named}
    # An interpreter built as a shared library has it beside the standard library.
    folders |= {Path(prefix).resolve() / "lib" for prefix in (sys.prefix, sys.base_prefix)}
    return tuple(sorted(folder for folder in folders if folder.is_dir() and not _too_wide(folder)))


def readable() -> list[Path]:
    """Everything a session may read besides its own folder."""
    return [*interpreter_folders(), *map(Path, _SHARED)]


def _too_wide(folder: Path) -> bool:
    home = Path.home().resolve()
    return folder == Path(folder.anchor) or folder == home or folder in home.parents
