"""`python flows/download.py`: every kind of source and trouble in one run; a rerun downloads nothing."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.tables.cards import read_card
from flows.tables.dataset import read_dataset
from tests.support.download_command import Command
from tests.support.file_server import FileServer, Reply, in_turn, ranged, rows
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.server, pytest.mark.timeout(1500)]


@pytest.fixture
def files() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture
def command(tmp_path: Path, prefect_server: PrefectServer) -> Command:
    return Command(tmp_path / "home", prefect_server)


WHOLE = ["data.csv", "dataset.json", "sketch.json"]


def test_one_run_takes_what_is_good_and_tells_what_is_not(files: FileServer, command: Command, tmp_path: Path) -> None:
    table = rows(300)
    files.files = {
        "/plants.csv": in_turn(Reply(table, headers={"ETag": '"v1"'}, cut_after=1_000), ranged(table)),
        "/again.csv": ranged(table + rows(10, seed=5).partition(b"\n")[2]),
        "/small.csv": ranged(rows(20)),
        "/page": Reply(b"<!doctype html><title>Sign in</title>"),
        "/moved.csv": Reply(status="302 Found", headers={"Location": "/target.csv"}),
        "/target.csv": ranged(rows(90, seed=2)),
    }
    local = tmp_path / "local"
    local.mkdir()
    (local / "trees.csv").write_bytes(rows(120, seed=3))
    with zipfile.ZipFile(local / "evil.zip", "w") as archive:
        archive.writestr("../../evil.csv", rows(60))
    (tmp_path / "list.txt").write_text(f"# sources\n{files.url}/moved.csv  # moved\n\n{local}/evil.zip\n")
    web = [f"{files.url}/{name}" for name in ("plants.csv", "again.csv", "small.csv", "page", "none.csv")]
    arguments: list[str | Path] = [*web, local, "--list", tmp_path / "list.txt"]

    said = command(*arguments, code=1)
    assert command.datasets() == {"plants": WHOLE, "trees": WHOLE, "moved": WHOLE}
    assert command.incoming() == []
    assert not list(tmp_path.rglob("evil.csv"))
    for words in (
        "20 rows, fewer than 50", "It is a web page", "404", "nothing was unpacked", "of plants:", "3 accepted",
        "3 refused", "1 duplicate", "1 failed",
    ):  # fmt: skip
        assert words in said
    kept = command.home / "datasets" / "plants"
    assert (kept / "data.csv").read_bytes() == table, "the broken transfer was gone on with"
    card = read_card(kept)
    assert card is not None
    assert (card.rows, card.column_count, card.encoding, card.delimiter) == (300, 3, "utf-8", ",")
    assert (card.source, card.version, card.url) == (web[0], '"v1"', web[0])
    assert [column.kind for column in card.profile.facts] == ["number", "text", "integer"]
    dataset = read_dataset(kept)
    assert (dataset.slug, dataset.key, dataset.version) == ("plants", card.sha256, '"v1"')

    asked, before = len(files.requests), {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    said = command(*arguments, code=1)
    assert "3 already there" in said
    assert "3 refused" in said
    new = [request.path for request in files.requests[asked:]]
    assert new == ["/none.csv"], "nothing is asked for again but what had failed"
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before

    (kept / "data.csv").write_bytes(b"spoilt")
    files.files["/plants.csv"] = ranged(table)
    command(web[0], code=0)
    assert (kept / "data.csv").read_bytes() == table, "a dataset that was damaged is fetched anew"

    newer = rows(310, seed=7)
    files.files["/plants.csv"] = ranged(newer, tag='"v2"')
    assert "already there" in command(web[0], code=0)
    assert "1 accepted" in command(web[0], "--refresh", code=0)
    assert (kept / "data.csv").read_bytes() == newer
    gets = files.asked("/plants.csv")
    assert "already there" in command(web[0], "--refresh", code=0), "the server was asked, and has no newer one"
    assert files.asked("/plants.csv") == gets
    assert command.datasets() == {"plants": WHOLE, "trees": WHOLE, "moved": WHOLE}
    assert json.loads((kept / "dataset.json").read_text())["version"] == '"v2"'


def test_a_killed_run_leaves_no_half_dataset_and_the_next_goes_on(files: FileServer, command: Command) -> None:
    table = rows(30_000)
    half = Reply(table, headers={"ETag": '"v1"'}, stall_after=len(table) // 2, stall_s=300)
    files.files = {"/big.csv": in_turn(half, ranged(table))}
    command.killed_once(files, "/big.csv", f"{files.url}/big.csv")
    assert not (command.home / "datasets").exists()
    command(f"{files.url}/big.csv", code=0)
    assert command.datasets() == {"big": WHOLE}
    assert (command.home / "datasets" / "big" / "data.csv").read_bytes() == table
    start = int(files.requests[-1].headers["range"].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= len(table) // 2


def test_nothing_to_do_is_told_in_one_sentence(command: Command) -> None:
    assert "Error: No source was given." in command(code=2)
    assert "nowhere.csv does not exist" in command("nowhere.csv", code=2)
