"""`python flows/question.py` as users run it: offline, reproducible, resumable, and what episodes take from it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from flows.questions.files import read_questions
from flows.samples import dataset_folder
from flows.verification.store import read_episodes
from tests.support.command_home import Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

CO2, STATES = (str(dataset_folder(slug) / "data.csv") for slug in ("co2", "statecrime"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, prefect_server: PrefectServer) -> Home:
    """A home in which one undisturbed run has made the questions of two datasets."""
    home = Home(tmp_path_factory.mktemp("calm"), prefect_server)
    home.run("question", CO2, STATES, "--per-source", "15")
    return home


def test_every_source_makes_its_questions_and_each_has_its_truth(calm: Home) -> None:
    for slug in ("co2", "statecrime"):
        read = read_questions(calm.file(slug))
        assert not read.problems
        by_source = {source: [q for q in read.questions if q.source == source] for source in ("template", "program")}
        assert all(len(made) == 15 for made in by_source.values()), {k: len(v) for k, v in by_source.items()}
        assert all(q.ground_truth is not None and q.reference_program and q.dataset_key for q in read.questions)
        assert {q.difficulty for q in read.questions} == {"easy", "medium", "hard", "very_hard"}
        report = json.loads(calm.file(slug).with_suffix(".report.json").read_text())
        assert {source["source"] for source in report["sources"]} == {"template", "program"}
        assert all(refusal["detail"] for source in report["sources"] for refusal in source["refused"])


def test_a_rerun_makes_nothing_and_changes_nothing(calm: Home) -> None:
    before = calm.file("co2").read_bytes()
    said = calm.run("question", CO2, STATES, "--per-source", "15")
    assert said.count("by an earlier run") == 4
    assert calm.file("co2").read_bytes() == before


def test_a_killed_run_ends_where_a_calm_one_ends(calm: Home, prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    home.path.mkdir()
    mine = '{"id": "mine", "text": "When was there most of it?"}\n'
    home.file("co2").parent.mkdir()
    home.file("co2").write_text(mine)
    for moment in ("templates", "programs"):
        process = home.start("question", CO2, "--per-source", "15")
        assert process.stderr is not None
        if moment == "programs":
            # Its templates are done, the programs are being proven.
            for line in process.stderr:
                if "template questions" in line:
                    break
        else:
            time.sleep(12)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert home.file("co2").read_text().startswith("{"), "never half-written"
    home.run("question", CO2, "--per-source", "15")
    lines = home.file("co2").read_text().splitlines(keepends=True)
    assert json.loads(lines[0])["id"] == "mine"
    assert "".join(lines[1:]) == calm.file("co2").read_text(), "byte for byte, in another home"


def test_what_repeats_a_benchmark_is_left_out(calm: Home, prefect_server: PrefectServer, tmp_path: Path) -> None:
    known = read_questions(calm.file("co2")).questions[0]
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "known.txt").write_text(known.text + "\n")
    home = Home(tmp_path / "home", prefect_server)
    home.run("question", CO2, "--source", "template", "--per-source", "15", "--benchmarks", str(tmp_path / "bench"))
    assert known.text not in {question.text for question in read_questions(home.file("co2")).questions}
    report = json.loads(file_of(home.path / "questions", "co2", ".report.json").read_text())
    dropped = [each for each in report["sources"][0]["refused"] if each["reason"] == "contaminated"]
    assert dropped
    assert all("known.txt, question 1" in each["detail"] for each in dropped)


def test_mistakes_are_one_sentence_and_the_rest_goes_on(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)
    said = home.run("question", CO2, "--benchmarks", str(tmp_path / "none"), code=2)
    assert "is no folder" in said
    tiny = tmp_path / "tiny.csv"
    tiny.write_text("a\n1\n")
    said = home.run("question", str(tmp_path / "missing.csv"), str(tiny), CO2, "--source", "template", code=1)
    assert "missing.csv does not exist" in said
    assert home.file("co2").exists()


def test_episodes_make_questions_first_where_none_is_asked(prefect_server: PrefectServer, tmp_path: Path) -> None:
    home = Home(tmp_path / "home", prefect_server)

    def knows(ask: Ask) -> Answer:
        told = " ".join(str(message["content"]) for message in ask.messages if message["role"] == "user")
        found = next(q for q in read_questions(home.file("co2")).questions if q.text in told)
        return Answer(content=f"As asked.\n```python\n{found.reference_program}\n```")

    with ModelServer(knows) as model:
        order = (CO2, "--model", "scripted", "--base-url", model.base_url)
        cut = home.run("episode", *order, "--budget-requests", "5", code=1)
        assert "The budget of this run is spent" in cut
        assert model.tally.asked.total() == 5, "to the request"
        said = home.run("episode", *order)
        assert set(model.tally.asked.values()) == {1}, "the next run went on where the budget had ended the first"
    questions = read_questions(home.file("co2")).questions
    assert {question.source for question in questions} == {"template"}
    episodes = list(read_episodes(file_of(home.path / "episodes", "co2")))
    assert len(episodes) == len(questions) > 10
    assert {episode.verdict.verdict for episode in episodes} == {"verified"}, said
    assert all(episode.question.ground_truth is not None for episode in episodes)


def test_what_is_not_shown_of_the_notes_is_in_the_log_that_is_named(
    prefect_server: PrefectServer, tmp_path: Path
) -> None:
    words = ("unknown", "TBD", "n/d", "k.A.", "-", "..", "unbekannt", "?")
    lines = [";".join(["city", *(f"m{at}" for at in range(len(words)))])]
    for row in range(90):
        cells = [word if (row + at) % 9 == 0 else str(7 * row + at / 4) for at, word in enumerate(words)]
        lines.append(";".join([("Oslo", "Rome", "Bern")[row % 3], *cells]))
    table = tmp_path / "notes.csv"
    table.write_text("\n".join(lines) + "\n")
    home = Home(tmp_path / "home", prefect_server)
    said = home.run("question", str(table), "--source", "template", "--per-source", "3")
    [log] = (home.path / "logs").glob("*/notes.log")
    [told] = [line for line in said.splitlines() if "about reading more, see" in line]
    assert told.endswith(f"see {log.absolute()}")
    shown = [line.partition("! notes: ")[2] for line in said.splitlines() if line.startswith("! notes: ")][:-1]
    written = log.read_text()
    assert all(f"notes: {sentence}" in written for sentence in shown)
    hidden = int(told.partition("! notes: ")[2].split()[0])
    unseen = [line for line in written.splitlines() if not any(sentence in line for sentence in shown)]
    assert len(unseen) >= hidden > 0
