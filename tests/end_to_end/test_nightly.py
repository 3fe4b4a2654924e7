"""`python flows/nightly.py` from a shell: the other flows as plain subflows, within the night's budget and window."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.chat.breaker import DENSITY_REQUESTS
from blocks.chat.errors import ChatError
from blocks.chat.journal import Journal
from blocks.chat.retry import RetryPolicy
from blocks.chat.schema import breakers
from flows.questions.files import read_questions
from flows.verification.store import read_episodes
from tests.support.chat import ask, opened
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def behave(ask: Ask) -> Answer:
    if ask.last == "down":
        return error(503)
    return Answer(content="Counted.\n```python\nsubmit(len(df))\n```")


async def break_down(model: ModelServer, store: Path) -> None:
    """The model fails until its breaker is open; then somebody tries it who does not come back with an answer."""
    at_once = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)
    with Journal(store) as journal:
        async with opened(model, journal, retry=at_once) as client:
            for number in range(DENSITY_REQUESTS):
                with pytest.raises(ChatError):
                    await client.complete(ask("down", model="scripted", sample=number))
        probed = {"state": "probing", "probe": "another's", "probe_at": time.time() + 3600}
        await journal.change(lambda connection: connection.execute(breakers.update().values(**probed)))


async def come_back(store: Path) -> None:
    """Who tried it has waited long enough: the next may try."""
    with Journal(store) as journal:
        await journal.change(lambda connection: connection.execute(breakers.update().values(probe_at=time.time())))


def test_a_night_downloads_asks_within_its_budget_and_goes_on_the_next(
    prefect_server: PrefectServer, tmp_path: Path
) -> None:
    home, table = tmp_path / "home", tmp_path / "sales.csv"
    rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3}\n" for n in range(80))
    table.write_text("region,amount,year\n" + rows)

    def night(model: ModelServer, *arguments: str, waits: Callable[[], None] | None = None) -> tuple[int, str]:
        command = [sys.executable, "flows/nightly.py", *arguments, "--question.source", "template"]
        command += ["--question.per-source", "3", "--episode.traces", "2"]
        command += ["--episode.model", "scripted", "--episode.base-url", model.base_url]
        for flow in ("download", "question", "episode"):
            command += [f"--{flow}.runtime", "process"]
        environment = {
            **os.environ,
            "TRIGPOINT_HOME": str(home),
            "PREFECT_API_URL": prefect_server.api_url,
            "COLUMNS": "200",
        }
        with subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True,
        ) as process:  # fmt: skip
            said = ""
            for line in process.stdout or ():
                said += line
                if waits is not None and " waits: " in line:
                    waits()
                    waits = None
        assert "Traceback" not in said, said
        return process.returncode, said

    with ModelServer(behave) as model:
        code, said = night(model, str(table), "--most-questions", "2")
        assert code == 0, said
        assert "of 2 questions verified; datasets: 1 worked on." in said
        assert len(read_questions(file_of(home / "questions", "sales")).questions) == 3
        assert len(list(read_episodes(file_of(home / "episodes", "sales")))) == 2

        (home / "datasets" / "empty").mkdir()
        (home / "datasets" / "empty" / "data.csv").write_text("")
        asyncio.run(break_down(model, home / "store.db"))
        code, said = night(model, waits=lambda: asyncio.run(come_back(home / "store.db")))
        assert code == 1, said
        assert "! sales waits: scripted at http://127.0.0.1" in said, "its questions are made, the model is waited for"
        assert "of 1 questions verified; datasets: 1 worked on, 1 failed." in said
        assert "data.csv is empty" in said
        assert len(list(read_episodes(file_of(home / "episodes", "sales")))) == 3

        asked = len(model.asks)
        code, said = night(model, "--hours", "0.000001")
        assert code == 0, said
        assert "datasets: 2 not begun." in said
        assert len(model.asks) == asked
