"""`python flows/download.py s3://…`: the environment's key, nothing fetched twice, a changed object fetched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.tables.cards import read_card
from tests.support.download_command import Command
from tests.support.file_server import rows
from tests.support.prefect_server import PrefectServer
from tests.support.s3_server import SECRET, S3Server

pytestmark = [pytest.mark.server, pytest.mark.timeout(900)]


@pytest.fixture
def s3() -> Iterator[S3Server]:
    with S3Server("shut") as server:
        for bucket in ("open", "shut"):
            server.put(f"/{bucket}")
            server.put(f"/{bucket}/{bucket}.csv", rows(80, seed=len(bucket) + ord(bucket[0])))
        yield server


def test_objects_are_fetched_once_and_again_when_they_have_changed(
    s3: S3Server, prefect_server: PrefectServer, tmp_path: Path
) -> None:
    command = Command(tmp_path / "home", prefect_server, environment=s3.keyed)
    said = command("s3://shut/*.csv", "s3://shut/none.csv", "s3://nowhere/x.csv", code=1)
    assert "1 accepted" in said
    assert "s3://shut/none.csv cannot be read" in said
    assert "s3://nowhere/x.csv cannot be read" in said
    card = read_card(command.home / "datasets" / "shut")
    assert card is not None
    assert card.source == "s3://shut/shut.csv"
    fetched = s3.fetched("/shut/shut.csv")
    assert fetched >= 1

    assert "1 already there" in command("s3://shut/shut.csv", code=0)
    assert s3.fetched("/shut/shut.csv") == fetched, "nothing is downloaded again"

    newer = rows(90, seed=5)
    s3.put("/shut/shut.csv", newer)
    assert "1 accepted" in command("s3://shut/shut.csv", code=0)
    assert (command.home / "datasets" / "shut" / "data.csv").read_bytes() == newer
    assert not any(SECRET.encode() in path.read_bytes() for path in command.home.rglob("*") if path.is_file())

    nobody = Command(tmp_path / "other", prefect_server, environment={**s3.anonymous, "FSSPEC_S3_ANON": "true"})
    said = nobody("s3://open/open.csv", "s3://shut/shut.csv", code=1)
    assert "1 accepted" in said
    assert "s3://shut/shut.csv cannot be read" in said
