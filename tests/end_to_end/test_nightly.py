"""`python flows/nightly.py` from a shell: the other flows as plain subflows, within the night's budget and window."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
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
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def behave(ask: Ask) -> Answer:
    if ask.last == "down":
        return error(503)
    return Answer(content="Counted.\n```python\nsubmit(len(df))\n```")


async def break_down(model: ModelServer, store: Path, seconds: float) -> None:
    """The model fails until its breaker is open, and for so long."""
    at_once = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)
    with Journal(store) as journal:
        async with opened(model, journal, retry=at_once) as client:
            for number in range(DENSITY_REQUESTS):
                with pytest.raises(ChatError):
                    await client.complete(ask("down", model="scripted", sample=number))
        until = {"probe_at": time.time() + seconds}
        await journal.change(lambda connection: connection.execute(breakers.update().values(**until)))


def test_a_night_downloads_asks_within_its_budget_and_goes_on_the_next(
    prefect_server: PrefectServer, tmp_path: Path
) -> None:
    home, table = tmp_path / "home", tmp_path / "sales.csv"
    rows = "".join(f"{'abcd'[n % 4]},{n * n % 97},{2000 + n % 3}\n" for n in range(80))
    table.write_text("region,amount,year\n" + rows)

    def night(model: ModelServer, *arguments: str) -> tuple[int, str]:
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
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        said = done.stdout + done.stderr
        assert "Traceback" not in said, said
        return done.returncode, said

    with ModelServer(behave) as model:
        code, said = night(model, str(table), "--most-questions", "2")
        assert code == 0, said
        assert "of 2 questions verified; datasets: 1 worked on." in said
        assert len(read_questions(home / "questions" / "sales.jsonl").questions) == 3
        assert len(list(read_episodes(home / "episodes" / "sales.jsonl"))) == 2

        (home / "datasets" / "empty").mkdir()
        (home / "datasets" / "empty" / "data.csv").write_text("")
        asyncio.run(break_down(model, home / "store.db", 60.0))
        code, said = night(model)
        assert code == 1, said
        assert "! sales waits: scripted at http://127.0.0.1" in said, "its questions are made, the model is waited for"
        assert "of 1 questions verified; datasets: 1 worked on, 1 failed." in said
        assert "data.csv is empty" in said
        assert len(list(read_episodes(home / "episodes" / "sales.jsonl"))) == 3

        asked = len(model.asks)
        code, said = night(model, "--hours", "0.000001")
        assert code == 0, said
        assert "datasets: 2 not begun." in said
        assert len(model.asks) == asked
