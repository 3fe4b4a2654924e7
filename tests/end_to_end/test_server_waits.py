"""A provider that asks to wait for hours: every flow ends with that sentence, and the next run goes on from there."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from blocks.chat.journal import Journal
from blocks.chat.outages import outages
from flows.samples import dataset_folder
from flows.verification.store import read_episodes
from tests.support.command_home import Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer, ask_server
from tests.support.proposing import EXPLORES, by_part, code_block, explorer, json_block, proposal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

PENGUINS = str(dataset_folder("penguins") / "data.csv")
WORDS = "Rate limit exceeded: free-models-per-day"
REFUSED = error(429, {"error": {"message": WORDS, "code": 429}}, headers={"Retry-After": "36000"})
GOOD = 5
"""Requests that are answered before the day's limit is used up."""


class Provider:
    """Answers some requests and refuses the others for ten hours."""

    def __init__(self) -> None:
        self.good = GOOD

    def __call__(self, ask: Ask) -> Answer:
        return self.solve(ask) if ask.total <= self.good else REFUSED

    @staticmethod
    def solve(ask: Ask) -> Answer:
        unsexed = proposal(
            "How many birds have no sex on record?", "submit(int(df['sex'].isna().sum()))", answer={"type": "int"},
            steps=1, difficulty="easy", tags=["missing"],
        )  # fmt: skip
        looks = (code_block("print(df.describe())"), code_block("print(df.isna().sum())"))
        proposes = explorer([*looks, json_block({"questions": [unsexed]}), json_block({"questions": []})])
        return by_part({EXPLORES: proposes}, lambda _: Answer(content=code_block("submit(344)")))(ask)


def check(said: str) -> None:
    """Which model, for how long, until when, in whose words, and what to do."""
    words = " ".join(said.split())
    for part in ("scripted", WORDS, "to send nothing for 36000 s (10 h), until ", "Run again then"):
        assert part in words, said


def warnings(server: PrefectServer) -> list[str]:
    """The newest ones in the logs of runs that are in this provider's words; the server may have had other runs."""
    body = {"logs": {"level": {"ge_": logging.WARNING}}, "sort": "TIMESTAMP_DESC"}
    found = ask_server(f"{server.api_url}/logs/filter", "POST", body)
    return [each["message"] for each in found if WORDS in each["message"]]


async def check_outage(home: Home) -> None:
    """It is in the list of models that are out of order."""
    with Journal(home.path / "store.db") as journal:
        (outage,) = await outages(journal)
    assert WORDS in outage.sentence()


def test_episodes_end_and_go_on(tmp_path: Path, prefect_server: PrefectServer) -> None:
    home, questions = Home(tmp_path / "home", prefect_server), tmp_path / "questions.jsonl"
    asked = [
        {"id": f"q{n}", "text": f"How many birds are there, asked {n}?", "answer": {"type": "int"}} for n in range(6)
    ]
    questions.write_text("".join(json.dumps(each) + "\n" for each in asked))
    provider = Provider()
    with ModelServer(provider) as server:
        command = [PENGUINS, "--questions", str(questions), "--model", "scripted", "--base-url", server.base_url]
        check(home.run("episode", *command, "--parallel-questions", "2", code=1))
        assert server.tally.asked.total() <= GOOD + 4, "those on their way, and nothing after them"
        answered = server.tally.answered.copy()
        asyncio.run(check_outage(home))
        wait_until(
            lambda: any("has asked to send nothing for 36000 s (10 h)" in each for each in warnings(prefect_server))
        )
        provider.good = 10**6
        home.run("episode", *command)
        assert all(server.tally.asked[key] == 1 for key in answered), "what was answered is not asked again"
    episodes = list(read_episodes(file_of(tmp_path / "home" / "episodes", "penguins")))
    assert [each.verdict.verdict for each in episodes] == ["verified"] * 6


def test_questions_by_a_model_end_and_go_on(tmp_path: Path, prefect_server: PrefectServer) -> None:
    home, provider = Home(tmp_path / "home", prefect_server), Provider()
    provider.good = 2
    with ModelServer(provider) as server:
        command = [
            PENGUINS, "--source", "llm", "--model", "scripted", "--base-url", server.base_url, "--per-source", "1",
        ]  # fmt: skip
        check(home.run("question", *command, code=2))
        asked = server.tally.asked.total()
        assert asked == 3, "it is not tried again within the run"
        provider.good = 10**6
        home.run("question", *command)
    assert home.file("penguins").exists()


def test_a_night_ends_when_its_window_cannot_see_the_model_back(tmp_path: Path, prefect_server: PrefectServer) -> None:
    home, provider = Home(tmp_path / "home", prefect_server), Provider()
    provider.good = 0
    with ModelServer(provider) as server:
        command = ["--episode.model", "scripted", "--episode.base-url", server.base_url]
        said = home.run("nightly", PENGUINS, *command, code=1)
    words = " ".join(said.split())
    assert "penguins is left to the next night: scripted at" in words, said
    assert "to send nothing until" in words, said
    assert WORDS in words, said
