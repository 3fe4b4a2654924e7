"""`python flows/download.py` as users run it, on a home of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.file_server import FileServer
from tests.support.prefect_server import PrefectServer

ROOT = Path(__file__).resolve().parents[2]


class Command:
    """`python flows/download.py` with a home of its own.

    Args:
        home: Its TRIGPOINT_HOME.
        prefect: The server it works with.
        runtime: The sandbox's.
        environment: Variables of its own.
    """

    def __init__(
        self,
        home: Path,
        prefect: PrefectServer,
        runtime: str = "process",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home
        self.pid = 0
        """Process of the last run."""
        self._runtime = runtime
        self._environment = {
            **os.environ, "TRIGPOINT_HOME": str(home), "PREFECT_API_URL": prefect.api_url, "COLUMNS": "200",
            **(environment or {}),
        }  # fmt: skip

    def __call__(self, *arguments: str | Path, code: int) -> str:
        """Run it to its end, which has this exit code and no traceback; what it said."""
        process = subprocess.Popen(
            [sys.executable, "flows/download.py", *map(str, arguments), "--runtime", self._runtime],
            cwd=ROOT, env=self._environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.pid = process.pid
        said = "".join(process.communicate())
        assert "Traceback" not in said, said
        assert process.returncode == code, said
        return said

    def killed_once(self, files: FileServer, path: str, *arguments: str) -> None:
        """Start, and kill when the server has been asked and part of the file is here."""
        command = [sys.executable, "flows/download.py", *arguments, "--runtime", self._runtime]
        process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and process.poll() is None:
            if files.asked(path) and any(part.stat().st_size for part in self.home.rglob("*.part")):
                break
            time.sleep(0.05)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it was killed in the middle"

    def datasets(self) -> dict[str, list[str]]:
        """The files of each dataset."""
        folder = self.home / "datasets"
        return {path.name: sorted(file.name for file in path.iterdir()) for path in folder.iterdir()}

    def incoming(self) -> list[str]:
        """Working folders that are left."""
        return [path.name for path in (self.home / "incoming").iterdir() if path.is_dir()]
