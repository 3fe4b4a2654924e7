"""A PostgreSQL server of the tests' own: a new cluster in a temporary folder, passwords asked for, nothing flushed."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from pydantic import SecretStr

from blocks.local_server import free_port

USER, PASSWORD = "trigpoint", "pg-5d1c0a93e7"
START_S = 120.0


def programs() -> Path | None:
    """The folder with initdb and postgres, which Debian keeps off the PATH; None: not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].split(".")[0]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """The server; a context manager.

    Args:
        folder: A folder for its files, made here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self.port = free_port()

    def url(self, database: str = "postgres", *, password: str = PASSWORD, driver: str = "postgresql+psycopg") -> str:
        """The SQLAlchemy URL of a database."""
        return f"{driver}://{USER}:{password}@127.0.0.1:{self.port}/{database}"

    def new_database(self) -> SecretStr:
        """The URL of a database that nobody has used."""
        name = f"store_{next(self._numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE template0")
        return SecretStr(self.url(name))

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """Runs a statement as the superuser, in the database `postgres`."""
        with psycopg.connect(self.url(driver="postgresql"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Starts the server, again after `stop`."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "shared_buffers": "32MB",
            "max_connections": 80,
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [self._bin / "postgres", "-D", self._data, *settings],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.run("SELECT 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
            time.sleep(0.05)

    def stop(self) -> None:
        """Stops the server at once; its clients' connections end."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=60)

    def __enter__(self) -> Self:
        folder = programs()
        assert folder is not None
        self._bin, self._data = folder, self._folder / "data"
        # The server refuses to be root.
        self._user = "postgres" if os.geteuid() == 0 else None
        self._folder.mkdir(parents=True)
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if self._user:
            self._hand_over(self._user)
        subprocess.run(
            [folder / "initdb", "-D", self._data, "-U", USER, "--pwfile", password, "-A", "scram-sha-256", "--no-sync",
             "--locale=C.UTF-8", "-E", "UTF8"],
            check=True,
            stdout=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
        )  # fmt: skip
        self.start()
        return self

    def _hand_over(self, user: str) -> None:
        for path in (self._folder, *self._folder.iterdir()):
            shutil.chown(path, user)
        for parent in self._folder.parents:
            if not parent.is_relative_to(tempfile.gettempdir()):
                break
            parent.chmod(parent.stat().st_mode | 0o011)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
