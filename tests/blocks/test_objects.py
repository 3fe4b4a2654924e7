"""Objects of a shared storage, in a folder and on an S3 server: whole or not there, and plain about why not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from blocks.objects import Folder, ObjectStore, Patience, Place, Remote, StorageError
from tests.support.s3_server import S3Server

HURRY = Patience(attempts=2, longest_wait_s=0.01)


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with S3Server("bucket") as server:
        server.put("/bucket")
        yield server


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, s3: S3Server) -> Callable[[], Place]:
    """Makes the same place again, as another host would."""
    if request.param == "s3":
        return lambda: Remote(f"s3://bucket/{tmp_path.name}", s3.options())
    (tmp_path / "volume").mkdir()
    return lambda: Folder(tmp_path / "volume")


async def test_what_one_host_puts_there_another_reads(place: Callable[[], Place], tmp_path: Path) -> None:
    one, other = ObjectStore(place(), "one"), ObjectStore(place(), "other")
    await one.check()
    await other.check()
    assert await other.names("episodes/x") == []
    await one.write("episodes/x/k1.json", b"first")
    assert await other.names("episodes/x") == ["k1.json"]
    table = tmp_path / "table.csv"
    table.write_bytes(os.urandom(3 << 20))
    await one.send(table, "episodes/x/deep/table.csv")
    assert await other.names("episodes/x") == ["deep/table.csv", "k1.json"], "a listing is never remembered"
    await other.fetch("episodes/x/deep/table.csv", tmp_path / "copy.csv")
    assert (tmp_path / "copy.csv").read_bytes() == table.read_bytes()
    await other.write("episodes/x/k1.json", b"second")
    assert await one.read("episodes/x/k1.json") == b"second"
    assert await one.names("episode") == [], "a name that begins alike is another"


async def test_what_is_not_finished_is_not_there(tmp_path: Path) -> None:
    objects = ObjectStore(Folder(tmp_path), "volume", HURRY)
    with pytest.raises(StorageError):
        await objects.send(tmp_path / "absent.csv", "datasets/x/data.csv")
    (tmp_path / "datasets" / "x").mkdir(parents=True, exist_ok=True)
    (tmp_path / "datasets" / "x" / ".0123.part").write_bytes(b"half of")
    assert await objects.names("datasets") == []


async def test_a_volume_that_is_not_mounted_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    objects = ObjectStore(Folder(tmp_path / "absent"), "local-file-system/volume", HURRY)
    for doing in (objects.check(), objects.names("episodes"), objects.write("episodes/k", b"")):
        with pytest.raises(StorageError, match="mount the volume"):
            await doing
    assert not (tmp_path / "absent").exists()


async def test_why_a_bucket_cannot_be_used_is_one_sentence(s3: S3Server) -> None:
    away = {**s3.options(), "client_kwargs": {"endpoint_url": "http://127.0.0.1:9", "region_name": "us-east-1"}}
    cases = [
        ("s3://bucket/x", s3.options("another secret"), "Check the credentials"),
        ("s3://absent/x", s3.options(), "Make the bucket"),
        ("s3://bucket/x", away, "does not answer"),
    ]
    for url, options, words in cases:
        with pytest.raises(StorageError, match=words) as raised:
            await ObjectStore(Remote(url, options), "remote-file-system/bucket", HURRY).check()
        assert "remote-file-system/bucket" in str(raised.value)
        assert "\n" not in str(raised.value)
        assert "another secret" not in str(raised.value)


async def test_a_storage_of_another_layout_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trigpoint.json").write_text('{"layout": 2}\n')
    with pytest.raises(StorageError, match="another version"):
        await ObjectStore(Folder(tmp_path), "volume").check()
    assert (tmp_path / "trigpoint.json").read_text() == '{"layout": 2}\n'


async def test_an_outage_is_waited_for(s3: S3Server) -> None:
    objects = ObjectStore(Remote("s3://bucket/outage", s3.options()), "bucket", Patience(50, 0.05))
    s3.out = True
    s3.requests.clear()
    try:
        writing = asyncio.create_task(objects.write("k", b"kept"))
        while len(s3.requests) < 3:
            await asyncio.sleep(0.01)
            assert not writing.done(), "it was tried again"
    finally:
        s3.out = False
    await writing
    assert await objects.read("k") == b"kept"
