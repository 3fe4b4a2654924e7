"""A machine whose way out is a proxy: the proxy is asked for what is elsewhere, and never for this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.file_server import FileServer, Reply, rows
from tests.support.model_server import Answer, ModelServer
from tests.support.proposing import code_block

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("prefect_home"), pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = "http://tables.example/elsewhere.csv"


@pytest.fixture
def proxy() -> Iterator[FileServer]:
    """A proxy that has one file of another host, and answers 404 to whatever else it is asked for."""
    with FileServer({ELSEWHERE: Reply(rows(60, seed=5))}) as server:
        yield server


def run(flow: str, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, f"flows/{flow}.py", *arguments], cwd=ROOT, env={**os.environ, "COLUMNS": "200", **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    return done.returncode, said


@pytest.mark.parametrize(
    "spared", [{}, {"NO_PROXY": "intranet.example"}, {"no_proxy": ""}], ids=["unset", "set by the user", "empty"]
)
def test_a_download_from_here_and_one_from_elsewhere(proxy: FileServer, spared: dict[str, str]) -> None:
    with FileServer({"/here.csv": Reply(rows(60))}) as here:
        code, said = run(
            "download", f"{here.url}/here.csv", ELSEWHERE, "--runtime", "process",
            HTTP_PROXY=proxy.url, ALL_PROXY=proxy.url, TRIGPOINT_TRUST_PROXY="1", **spared,
        )  # fmt: skip
        assert code == 0, said
        assert here.asked("/here.csv") == 1
    assert {request.path for request in proxy.requests} == {ELSEWHERE}


def test_a_socks_proxy_that_is_named_is_not_asked_for_this_machine() -> None:
    with FileServer({"/here.csv": Reply(rows(60))}) as here:
        code, said = run("download", f"{here.url}/here.csv", "--runtime", "process", ALL_PROXY="socks5://127.0.0.1:9")
        assert code == 0, said
        assert here.asked("/here.csv") == 1


def test_a_model_of_this_machine(proxy: FileServer, tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_bytes(rows(60))
    with ModelServer(lambda ask: Answer(content=code_block("submit(len(df))"))) as model:
        code, said = run(
            "episode", str(table), "--ask", "How many rows?", "--model", "m", "--base-url", model.base_url, "--runtime",
            "process", http_proxy=proxy.url, https_proxy=proxy.url, TRIGPOINT_TRUST_PROXY="1",
        )  # fmt: skip
        assert code == 0, said
        assert model.asks
    assert not proxy.requests


def test_a_proxy_that_is_no_address_is_one_sentence() -> None:
    code, said = run("upkeep", HTTPS_PROXY="nonsense://proxy")
    assert code == 2
    assert said.strip().splitlines() == [
        "Error: HTTPS_PROXY is not the address of a proxy (it begins with nonsense://). Set it as http://HOST:PORT, or "
        "unset it."
    ]
