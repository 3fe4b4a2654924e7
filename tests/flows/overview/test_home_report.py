"""What a home holds and has cost, as a user is told: from requests that were really sent, and files that are there."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from blocks.chat.errors import ChatError
from blocks.chat.retry import RetryPolicy
from blocks.command_line import parse, run_flow
from blocks.settings import settings
from flows.display.overview import report_page
from flows.overview.options import ReportOptions
from flows.overview.records import DatasetStanding, HomeReport, Line
from flows.report import _without_a_run, report
from flows.tables.dataset import read_dataset
from tests.support.chat import MODEL, ask, opened
from tests.support.model_answers import Answer, Ask, error
from tests.support.model_server import ModelServer

AT_ONCE = RetryPolicy(max_attempts=1, max_breaker_wait_s=0)


def tell(*arguments: str) -> int:
    return run_flow(report, arguments=arguments, instead=_without_a_run)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIGPOINT_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("TRIGPOINT_STORE_URL", raising=False)
    settings.cache_clear()
    return tmp_path


def put_dataset(home: Path, slug: str, questions: int, verdicts: dict[str, str]) -> None:
    folder = home / "datasets" / slug
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text("a,b\n1,2\n")
    for name in ("questions", "episodes"):
        (home / name).mkdir(exist_ok=True)
    texts = [json.dumps({"id": f"q{n}", "text": f"How many of {n}?"}) for n in range(questions)]
    (home / "questions" / f"{slug}.jsonl").write_text("\n".join(texts) + "\n")
    key_of_table = read_dataset(folder).key
    episodes = [
        {
            "episode_id": key, "question": {"id": key}, "question_key": key, "dataset": {"key": key_of_table},
            "verdict": {"verdict": verdict},
        }
        for key, verdict in verdicts.items()
    ]  # fmt: skip
    (home / "episodes" / f"{slug}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in episodes))


async def _spend(home: Path, answers: int, failures: int) -> None:
    def behave(it: Ask) -> Answer:
        return error(503) if "fails" in it.last else Answer(content="fine")

    with ModelServer(behave) as server:
        async with opened(server, home / "store.db", max_in_flight=1, retry=AT_ONCE) as client:
            for number in range(answers):
                await client.complete(ask(f"question {number}"))
            for number in range(failures):
                with pytest.raises(ChatError):
                    await client.complete(ask(f"fails {number}"))


def test_an_empty_home_is_told_as_empty(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tell() == 0
    assert capsys.readouterr().out == "0 requests; 0 of 0 episodes verified, 0 datasets.\n"
    assert not (home / "store.db").exists(), "looking makes no store"


def test_requests_models_and_datasets(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_dataset(home, "alpha", 2, {"k1": "verified", "k2": "ambiguous", "k3": "verified"})
    put_dataset(home, "beta", 1, {})
    (home / "datasets" / "broken").mkdir()
    (home / "datasets" / "broken" / "data.csv").write_text("")
    asyncio.run(_spend(home, answers=3, failures=0))
    assert tell("--by", "model") == 1, "one dataset cannot be read, and the others are told"
    said = capsys.readouterr().out
    row = next(line for line in said.splitlines() if line.lstrip().startswith(MODEL)).split()
    assert row[1:] == ["3", "0", "33", "21", "–", "0"]
    assert "1 ambiguous, 2 verified" in said
    assert "3 requests; 2 of 3 episodes verified, 3 datasets." in said
    assert "is empty" in next(line for line in said.splitlines() if line.lstrip().startswith("broken"))


def test_a_record_of_a_newer_version_is_told_beside_what_can_be_read(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put_dataset(home, "alpha", 2, {"k1": "verified", "k2": "ambiguous"})
    put_dataset(home, "beta", 1, {"k3": "verified"})
    episodes = home / "episodes" / "alpha.jsonl"
    newer = json.dumps({"schema_version": 2, "episode_id": "k4", "verdict": ["in another form"]}) + "\n"
    episodes.write_text(episodes.read_text() + newer)
    before = episodes.read_bytes()
    assert tell() == 1
    said = capsys.readouterr().out
    assert "2 of 3 episodes verified, 2 datasets." in said
    alpha = next(line for line in said.splitlines() if line.lstrip().startswith("alpha"))
    assert "1 ambiguous, 1 verified" in alpha
    assert "alpha.jsonl:3" in said
    assert "newer Trigpoint (schema version 2)" in said
    assert episodes.read_bytes() == before


def test_a_model_that_is_out_of_order_is_told_with_its_next_try(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_spend(home, answers=1, failures=25))
    assert tell("--by", "outcome", "--by", "model") == 0
    said = capsys.readouterr().out
    assert f"! {MODEL} at http://" in said
    assert "requests failed; the next try is in" in said
    assert "1 model out of order" in said
    failed = next(line for line in said.splitlines() if line.lstrip().startswith("server_failure")).split()
    assert failed[2] == failed[3] != "0"


def test_days_narrow_it_down(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(_spend(home, answers=2, failures=0))
    for arguments, requests in (
        (("--since", "2020-01-01"), 2),
        (("--since", "9999-01-01"), 0),
        (("--until", "2020-01-01"), 0),
        (("--model", MODEL, "--by", "day,flow"), 2),
        (("--model", "another"), 0),
    ):
        assert tell(*arguments) == 0
        assert f"{requests} requests;" in capsys.readouterr().out


def test_what_is_no_day_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(report, ["--since", "yesterday"])
    assert "--since" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(report, ["--by", "moon"])


def test_commas_part_names() -> None:
    assert ReportOptions.model_validate({"by": ["day,model", "day"]}).by == ("day", "model")


def test_a_page_no_name_can_break() -> None:
    line = Line(
        names=("a|b", "<m>"), requests=1, failed=0, prompt_tokens=2, completion_tokens=3, cost_usd=0.5, unreported=0
    )
    row = DatasetStanding(dataset="x|y", questions=2, open=1, verdicts={"verified": 1})
    page = report_page(HomeReport(by=("endpoint", "model"), lines=(line,), outages=(), datasets=(row,)))
    assert r"| a\|b | \<m\> | 1 | 0 | 2 | 3 | 0.5000 | 0 |" in page
    assert r"| x\|y | 2 | 1 | 1 verified |" in page


def test_episodes_of_a_table_that_is_not_in_the_home_are_told(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `flows/episode.py my.csv` and the demo make them: a report without them would say that nothing was done."""
    put_dataset(home, "mine", 2, {"k1": "verified"})
    put_dataset(home, "gone", 3, {"k2": "verified", "k3": "ambiguous", "k4": "budget"})
    shutil.rmtree(home / "datasets" / "gone")
    (home / "episodes" / "torn.jsonl").write_bytes(b"\x00\xffrubbish\n")
    assert tell() == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "gone (not in datasets/) 1 ambiguous, 1 budget, 1 verified 3 1" in said
    assert "mine 1 verified 2 2" in said
    assert "this line is no episode" in said
    assert "2 of 4 episodes verified, 3 datasets" in said
