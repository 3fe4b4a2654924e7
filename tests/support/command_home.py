"""A TRIGPOINT_HOME, and the flows' commands run on it against a real Prefect server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.dataset_files import file_of
from tests.support.prefect_server import PrefectServer

ROOT = Path(__file__).resolve().parents[2]


class Home:
    """A TRIGPOINT_HOME and the commands run on it.

    Args:
        path: The folder.
        server: Where runs are recorded.
        environment: Further variables of the commands.
    """

    def __init__(self, path: Path, server: PrefectServer, **environment: str) -> None:
        self.path = path
        self._environment = {
            **os.environ, "TRIGPOINT_HOME": str(path), "PREFECT_API_URL": server.api_url, "COLUMNS": "200",
            **environment,
        }  # fmt: skip

    def start(self, flow: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a flow's command in the process runtime."""
        started = [f"--{each}.runtime" for each in ("download", "question", "episode")]
        runtime = [word for name in (started if flow == "nightly" else ["--runtime"]) for word in (name, "process")]
        return subprocess.Popen(
            [sys.executable, f"flows/{flow}.py", *arguments, *runtime], cwd=ROOT, env=self._environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, flow: str, *arguments: str, code: int = 0) -> str:
        """Run a flow's command to its end, which must be this exit code; all it said, which holds no traceback."""
        process = self.start(flow, *arguments)
        out, err = process.communicate()
        assert process.returncode == code, out + err
        assert "Traceback" not in out + err, err
        return out + err

    def file(self, slug: str) -> Path:
        """A dataset's question file."""
        return file_of(self.path / "questions", slug)
