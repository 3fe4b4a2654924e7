"""Saved blocks as sources: loaded by name from a Prefect server, used with their credentials, which nobody sees."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.tables.cards import read_card
from tests.support.download_command import ROOT, Command
from tests.support.file_server import FileServer, Reply, Request, ranged, rows
from tests.support.kaggle_server import KaggleDataset, KaggleServer
from tests.support.prefect_home import migrated_home
from tests.support.prefect_server import PrefectServer, ask_server

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]

TOKEN, KEY = "tok-5e1f0c7a9d2b", "kag-83b1d40e6f52"
BASIC = base64.b64encode(f"somebody:{KEY}".encode()).decode()
SECRETS = (TOKEN, KEY, BASIC)
SAVE = """
from blocks.dataset_source import HttpSource, KaggleSource
from prefect.blocks.system import Secret
from pydantic import SecretStr

HttpSource(url={url!r} + "/private.csv", headers={{"X-Token": {token!r}}}).save("private")
HttpSource(url={url!r} + "/private.csv", headers={{"X-Token": "wrong"}}).save("shut")
KaggleSource(
    refs=("somebody/plants",), username="somebody", key=SecretStr({key!r}), base_url={url!r}
).save("plants")
Secret(value="x").save("other")
"""


def private(request: Request) -> Reply:
    """A table for those who know the token."""
    if request.headers.get("x-token") != TOKEN:
        return Reply(b"who are you?", status="403 Forbidden")
    return ranged(rows(80))(request)


@pytest.fixture(scope="module")
def files() -> Iterator[FileServer]:
    with FileServer({"/private.csv": private}) as server:
        plants = KaggleDataset("somebody/plants", {"plants.csv": rows(90, seed=3)}, version=4)
        KaggleServer(server, plants, user=("somebody", KEY))
        yield server


@pytest.fixture(scope="module")
def prefect_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefect")
    return migrated_home(folder / "home")


@pytest.fixture(scope="module")
def prefect(prefect_folder: Path, files: FileServer) -> Iterator[PrefectServer]:
    """A server on which somebody has saved blocks."""
    with PrefectServer(prefect_folder) as server:
        code = SAVE.format(url=files.url, token=TOKEN, key=KEY)
        environment = {**os.environ, "PREFECT_API_URL": server.api_url}
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True)
        yield server


@pytest.fixture
def command(tmp_path: Path, prefect: PrefectServer) -> Command:
    return Command(tmp_path / "home", prefect, environment={"PREFECT_LOGGING_LEVEL": "DEBUG"})


def told(prefect: PrefectServer) -> str:
    """All that the server has of runs: the runs themselves, tasks, logs, artifacts, and blocks as they are shown."""
    answers = [
        ask_server(f"{prefect.api_url}/{kind}/filter", "POST", {"limit": 200})
        for kind in ("flow_runs", "task_runs", "logs", "artifacts", "block_documents")
    ]
    assert all(answers), "there is something of each"
    return json.dumps(answers)


def test_saved_blocks_bring_their_datasets_and_keep_their_secrets(
    files: FileServer, command: Command, prefect: PrefectServer, prefect_folder: Path
) -> None:
    names = ("block:trigpoint-http-source/private", "block:trigpoint-kaggle-source/plants")
    said = command(*names, code=0)
    assert "2 accepted" in said
    homes = command.home / "datasets"
    assert {path.name for path in homes.iterdir()} == {"private", "somebody-plants"}
    assert (homes / "private" / "data.csv").read_bytes() == rows(80)
    assert (homes / "somebody-plants" / "data.csv").read_bytes() == rows(90, seed=3)
    cards = {path.name: read_card(path) for path in homes.iterdir()}
    assert {name: card.source for name, card in cards.items() if card} == {
        "private": f"{files.url}/private.csv",
        "somebody-plants": "kaggle:somebody/plants",
    }

    asked = files.asked("/private.csv"), files.asked("/storage/somebody/plants/plants.csv")
    assert "2 already there" in command(*names, code=0)
    assert (files.asked("/private.csv"), files.asked("/storage/somebody/plants/plants.csv")) == asked

    refused = command("block:trigpoint-http-source/shut", "--refresh", code=2)
    assert "403" in refused
    written = [path for folder in (command.home, prefect_folder) for path in folder.rglob("*") if path.is_file()]
    assert len(written) > 8
    for secret in SECRETS:
        assert secret not in said + refused
        assert secret not in told(prefect)
        for path in written:
            assert secret.encode() not in path.read_bytes(), path


WRONG = {
    "trigpoint-http-source/nobody": "There is no block trigpoint-http-source/nobody.",
    "no-such-type/private": "There is no block no-such-type/private.",
    "private": "There is no block private.",
    "secret/other": "The block secret/other is no dataset source.",
}


def test_a_name_that_is_no_source_is_one_sentence(command: Command) -> None:
    said = command(*(f"block:{name}" for name in WRONG), code=2)
    for sentence in WRONG.values():
        assert sentence in said
