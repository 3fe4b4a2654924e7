"""`python flows/download.py --runtime docker`: a download is read, profiled and sketched in a container."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import pytest

from blocks.sandboxes.owner import host_id
from flows.tables.cards import read_card, read_sketch
from tests.support.download_command import Command
from tests.support.file_server import FileServer, ranged, rows
from tests.support.machine import LABEL_OWNER
from tests.support.prefect_server import PrefectServer

pytestmark = [pytest.mark.engine, pytest.mark.server, pytest.mark.timeout(900)]


def containers_of(pid: int, since: datetime) -> list[str]:
    """What the engine says happened to containers that belonged to a process, one word for each event."""
    client = docker.from_env()
    try:
        events = client.events(
            since=since,
            until=datetime.now(UTC) + timedelta(seconds=2),
            decode=True,
            filters={"type": "container", "label": LABEL_OWNER},
        )
        mine = f"{host_id()}/{pid}/"
        return [event["Action"] for event in events if event["Actor"]["Attributes"][LABEL_OWNER].startswith(mine)]
    finally:
        client.close()


def test_a_download_is_profiled_in_a_container(prefect_server: PrefectServer, tmp_path: Path) -> None:
    began = datetime.now(UTC)
    with FileServer({"/plants.csv": ranged(rows(120))}) as files:
        command = Command(tmp_path / "home", prefect_server, "docker")
        assert "1 accepted" in command(f"{files.url}/plants.csv", code=0)
        happened = containers_of(command.pid, began)
        assert "start" in happened
        assert "die" in happened, "and it is gone"
        folder = command.home / "datasets" / "plants"
        card, sketch = read_card(folder), read_sketch(folder)
        assert card is not None
        assert sketch is not None
        assert (card.profile.rows, sketch.rows) == (120, 120)
        assert [column.kind for column in card.profile.facts] == ["number", "text", "integer"]

        nowhere = {"TRIGPOINT_SANDBOX_IMAGE": "trigpoint-no-such-image:none"}
        without = Command(tmp_path / "other", prefect_server, "docker", nowhere)
        assert "trigpoint-no-such-image" in without(f"{files.url}/plants.csv", code=2)
        assert not (tmp_path / "other" / "datasets").exists(), "where there is no container, nothing is profiled"
