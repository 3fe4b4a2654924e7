"""`python flows/question.py --model …`: questions by a model and in its words, paid for once, and asked as episodes."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from flows.questions.files import read_questions
from flows.questions.records import Question
from flows.samples import dataset_folder
from flows.verification.store import read_episodes
from tests.support.command_home import Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer
from tests.support.proposing import EXPLORES, WORDS, by_part, code_block, explorer, json_block, proposal
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

PENGUINS = str(dataset_folder("penguins") / "data.csv")
SLUG = "penguins"
LOOKS = (code_block("print(df.describe())"), code_block("print(df.isna().sum())"))
HEAVY = proposal(
    "What is the mean flipper length in millimetres of the birds heavier than 4000 grams, rounded to 2 decimals?",
    "submit(round(float(df[df['body_mass_g'] > 4000]['flipper_length_mm'].mean()), 2))",
    answer={"type": "float", "decimals": 2, "unit": "mm"}, tags=["filter"],
)  # fmt: skip
UNSEXED = proposal(
    "How many birds have no sex on record?", "submit(int(df['sex'].isna().sum()))", answer={"type": "int"}, steps=1,
    difficulty="easy", tags=["missing"],
)  # fmt: skip
OPEN = proposal("What is the mean flipper length of all the birds?", "submit(df['flipper_length_mm'].mean())")


def solve(ask: Ask) -> Answer:
    """Answer the model's own two questions; any other with what does not fit."""
    asked = str(ask.messages[1]["content"])
    for each in (HEAVY, UNSEXED):
        if each["question"] in asked:
            return Answer(content=code_block(each["program"]))
    return Answer(content=code_block("submit(0)"))


def propose(ask: Ask) -> Answer:
    """Two looks, a proposal that leaves its answer open, then two that do not."""
    first = json_block({"questions": [OPEN, UNSEXED]})
    return explorer([*LOOKS, first, json_block({"questions": [HEAVY]})])(ask)


def slowly(ask: Ask) -> Answer:
    time.sleep(random.uniform(0, 0.3))
    return by_part({EXPLORES: propose}, solve)(ask)


def by_model(server: ModelServer, *more: str) -> tuple[str, ...]:
    return ("--model", "test-model", "--base-url", server.base_url, *more)


def made(home: Home) -> tuple[Question, ...]:
    read = read_questions(home.file(SLUG))
    assert not read.problems
    return read.questions


def report(home: Home) -> list[dict[str, Any]]:
    text = file_of(home.path / "questions", SLUG, ".report.json").read_text()
    sources: list[dict[str, Any]] = json.loads(text)["sources"]
    return sources


def test_a_models_questions_are_made_once_and_become_episodes(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    with ModelServer(by_part({EXPLORES: propose}, solve)) as model:
        said = home.run("question", PENGUINS, "--source", "llm", "--per-source", "2", *by_model(model))
        assert "2 llm questions of 3 proposed" in said
        assert "4 model calls" in said
        questions = made(home)
        assert {question.text for question in questions} == {HEAVY["question"], UNSEXED["question"]}
        assert not any(question.has_ground_truth for question in questions)
        assert [each["reason"] for source in report(home) for each in source["refused"]] == ["wording"]
        (line,) = file_of(home.path / "questions", SLUG, ".llm.model.jsonl").read_text().splitlines()
        conversation = json.loads(line)
        assert conversation["kind"] == "exploration"
        assert "it does not say how the answer is rounded" in conversation["messages"][-3]["content"]

        calls = model.tally.asked.total()
        again = home.run("question", PENGUINS, "--source", "llm", "--per-source", "2", *by_model(model))
        assert "by an earlier run" in again
        assert model.tally.asked.total() == calls

        home.run("episode", PENGUINS, *by_model(model))
    episodes = list(read_episodes(file_of(home.path / "episodes", SLUG)))
    assert [episode.verdict.verdict for episode in episodes] == ["verified", "verified"]


def test_template_questions_get_words_that_lead_to_their_answers(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    home.run("question", PENGUINS, "--source", "template", "--per-source", "6")
    plain = {question.id: question for question in made(home)}
    new = {question.text: f"Tell me this, please. {question.text}" for question in plain.values()}
    programs = {new[question.text]: question.reference_program for question in plain.values()}
    spoilt = sorted(new)[0]

    def word(ask: Ask) -> Answer:
        asked = next(text for text in new if text in ask.last)
        return Answer(content=json_block({"wordings": [new[asked]]}))

    def answer(ask: Ask) -> Answer:
        asked = next(text for text in programs if text in str(ask.messages[1]["content"]))
        return Answer(content=code_block("submit(-1)" if asked == new[spoilt] else str(programs[asked])))

    with ModelServer(by_part({WORDS: word}, answer)) as model:
        options = ("--source", "template", "--per-source", "6", "--naming", "any")
        said = home.run("question", PENGUINS, *options, *by_model(model))
        assert "5 in the model's words" in said
        assert model.tally.asked.total() == 12, "one for the words and one for the round trip of each"
    for question in made(home):
        before = plain[question.id]
        kept = before.text == spoilt
        assert question.text == (before.text if kept else new[before.text])
        assert question.ground_truth == before.ground_truth
    tried = [json.loads(line) for line in file_of(home.path / "questions", SLUG, ".template.model.jsonl").open()]
    assert sorted(each["tried"][0]["reason"] for each in tried) == ["another_answer", *["kept"] * 5]


def test_killed_anywhere_no_answered_call_is_asked_again(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    dice = random.Random(11)
    arguments = ("question", PENGUINS, "--source", "llm", "--per-source", "2")
    with ModelServer(slowly) as model:
        for kill in range(2):
            before = len(model.asks)
            process = home.start(*arguments, *by_model(model))
            wait_until(lambda: len(model.asks) > before or process.poll() is not None)  # noqa: B023
            time.sleep(dice.uniform(0, 1.5) if kill else 0.05)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        home.run(*arguments, *by_model(model))
        asked = model.tally.asked
    assert {question.text for question in made(home)} == {HEAVY["question"], UNSEXED["question"]}
    # A call under way when its process dies may be asked once more for each kill, an answered one never.
    assert len(asked) == 4
    assert asked.total() <= 4 + 2


def test_mistakes_are_one_sentence(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    said = home.run("question", PENGUINS, "--source", "llm", code=2)
    assert "No model is named. Give --model" in said
    with ModelServer(lambda _: error(401)) as model:
        sources = ("--source", "llm,template,program", "--per-source", "3")
        said = home.run("question", PENGUINS, *sources, *by_model(model), code=2)
        assert "key" in said
        assert [each.source for each in made(home)] == ["template"] * 3 + ["program"] * 3, "all that needs no model"
