"""A Prefect home whose database is migrated already: migrations take 10 s, a copy takes none."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

RUN_FOLDER = "TRIGPOINT_TEST_FOLDER"
"""The environment variable that names the folder of this test run, shared by its workers."""


def migrated_home(home: Path) -> Path:
    """Make `home` a Prefect home with a migrated, empty database: a copy of one that the test run makes once."""
    shutil.copytree(_template(Path(os.environ[RUN_FOLDER]) / "prefect-template"), home, dirs_exist_ok=True)
    return home


def _template(folder: Path) -> Path:
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".new")
            making.mkdir(exist_ok=True)
            subprocess.run(
                [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"],
                env={**os.environ, "PREFECT_HOME": str(making)},
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            making.rename(folder)
    return folder
