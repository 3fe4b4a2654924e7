"""Rules for reading a file, given once: kept, told, part of what is done; what is asked again costs nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.verification.store import read_episodes
from tests.support.command_home import Home
from tests.support.dataset_files import file_of
from tests.support.model_answers import Answer, Ask
from tests.support.model_server import ModelServer
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


def behave(ask: Ask) -> Answer:
    return Answer(content="Count.\n```python\nsubmit(int(df['n'].isna().sum()))\n```")


def test_rules_are_given_once_and_what_is_told_decides_what_is_asked_again(
    tmp_path: Path, prefect_server: PrefectServer
) -> None:
    table = tmp_path / "sales.csv"
    rows = "".join(f"{n % 5};{'unknown' if n % 4 == 0 else n};{n * 1.5}\n" for n in range(80))
    table.write_text("city;n;price\n" + rows)
    home = Home(tmp_path / "home", prefect_server)
    home.run("download", str(table), "--delimiter", "semicolon", "--missing", "unknown,?")
    folder = home.path / "datasets" / "sales"
    card = json.loads((folder / "dataset.json").read_text())
    assert card["reading"] == {"delimiter": ";", "missing": ["?", "unknown"]}
    with ModelServer(behave) as model:

        def asked(*more: str, code: int = 0) -> tuple[int, str]:
            before = len(model.asks)
            said = home.run(
                "episode", str(folder), "--ask", "How many rows have no n?", "--model", "scripted",
                "--base-url", model.base_url, "--traces", "2", *more, code=code,
            )  # fmt: skip
            return len(model.asks) - before, said

        first, _ = asked()
        assert first > 0
        system = str(model.asks[0].messages[0]["content"])
        assert 'By the rules given: delimiter ";"; read as missing: "?", "unknown".' in system
        (episode,) = read_episodes(file_of(home.path / "episodes", "sales"))
        assert episode.verdict.verified
        assert episode.answer == {"t": "int", "v": 20}
        assert episode.dataset.reading.missing == ("?", "unknown")

        calls, said = asked()
        assert calls == 0
        assert "1 done by earlier runs" in said

        card["licence"] = "CC0"
        (folder / "dataset.json").write_text(json.dumps(card))
        assert "1 done by earlier runs" in asked()[1], "nobody is told the licence"

        calls, said = asked("--memory", "2048")
        assert calls == 0, "the journal answers what is the same"
        assert "earlier runs" not in said
        assert f"{first} model calls ({first} from the journal)" in said

        card["description"] = "Sold on markets."
        (folder / "dataset.json").write_text(json.dumps(card))
        calls, said = asked()
        assert calls == first, "another prompt is another call"
        assert "earlier runs" not in said

        calls, said = asked("--missing", "0")
        assert calls == first
        assert 'is read by read as missing: "0", as given, and not by' in said
    stems = {path.name for path in (home.path / "episodes").glob("*.jsonl")}
    assert len(stems) == 2, "by other rules it is another table"
