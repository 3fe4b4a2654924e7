"""Datasets in S3 buckets, on a real server of that kind: who may read, what is not there, what counts as changed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fsspec.registry import get_filesystem_class

from blocks.sources.models import FetchLimits, RetryLimits, SourceError, SourceRefused
from blocks.sources.remote import RemoteFiles
from tests.support.file_server import rows
from tests.support.s3_server import KEY, SECRET, S3Server

CSV = rows(80)


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    with S3Server("shut") as server:
        yield server


@pytest.fixture
def s3(running: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Server:
    """The server with two buckets, seen by somebody without a key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in running.anonymous.items():
        monkeypatch.setenv(name, value)
    for bucket in ("open", "shut"):
        running.put(f"/{bucket}")
        running.put(f"/{bucket}/a.csv", CSV)
        running.put(f"/{bucket}/deep/b.csv", rows(70, seed=1))
        running.put(f"/{bucket}/notes.txt", b"x")
    get_filesystem_class("s3").clear_instance_cache()
    running.requests.clear()
    return running


@pytest.fixture
def keyed(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The same, seen by somebody whose environment has the key."""
    for name, value in s3.keyed.items():
        monkeypatch.setenv(name, value)
    return s3


async def brought(source: RemoteFiles, folder: Path, limits: FetchLimits | None = None) -> dict[str, bytes]:
    tables = {}
    for reference in await source.references():
        fetched = await source.fetch(reference, folder / reference.token, limits or FetchLimits(), lambda *_: None)
        tables[reference.name] = fetched.path.read_bytes()
    return tables


def source(url: str) -> RemoteFiles:
    return RemoteFiles(url, retry=RetryLimits(attempts=2, first_wait_s=0))


async def test_the_environments_key_opens_files_folders_and_globs(tmp_path: Path, keyed: S3Server) -> None:
    assert await brought(source("s3://shut/a.csv"), tmp_path) == {"a.csv": CSV}
    assert await brought(source("s3://shut/*.csv"), tmp_path) == {"a.csv": CSV}
    assert await brought(source("s3://shut"), tmp_path) == {"a.csv": CSV, "b.csv": rows(70, seed=1)}


async def test_nobody_in_particular_reads_what_is_open(tmp_path: Path, s3: S3Server) -> None:
    assert await brought(RemoteFiles("s3://open/a.csv", options={"anon": True}), tmp_path) == {"a.csv": CSV}
    for url in ("s3://shut/a.csv", "s3://shut/*.csv", "s3://shut"):
        with pytest.raises(SourceError, match=r"^s3://shut\S* cannot be read \(.*\)\. Check address and rights\.$"):
            await RemoteFiles(url, options={"anon": True}).references()


async def test_where_nobody_said_who_asks_that_is_told(s3: S3Server) -> None:
    with pytest.raises(SourceError, match=r"locate credentials\)\. Set AWS_ACCESS_KEY_ID .* or FSSPEC_S3_ANON=true"):
        await source("s3://open/a.csv").references()


async def test_options_carry_the_key_as_well(tmp_path: Path, s3: S3Server) -> None:
    """As a saved block does."""
    files = RemoteFiles("s3://shut/a.csv", options={"key": KEY, "secret": SECRET})
    assert await brought(files, tmp_path) == {"a.csv": CSV}


@pytest.mark.parametrize("url", ["s3://open/none.csv", "s3://nowhere/a.csv", "s3://nowhere", "s3://nowhere/*.csv"])
async def test_an_object_or_a_bucket_that_is_not_there_is_one_sentence(url: str, keyed: S3Server) -> None:
    with pytest.raises(SourceError) as caught:
        await source(url).references()
    said = str(caught.value)
    assert said.startswith(url)
    assert "Check" in said
    assert "\n" not in said
    assert SECRET not in said


async def test_a_file_over_the_cap_is_not_fetched(tmp_path: Path, keyed: S3Server) -> None:
    with pytest.raises(SourceRefused, match="more than the 100 taken"):
        await brought(source("s3://open/a.csv"), tmp_path, FetchLimits(max_bytes=100))
    assert keyed.fetched("/open/a.csv") == 0


async def test_a_version_is_of_the_content_however_the_file_was_named(keyed: S3Server) -> None:
    [before] = await source("s3://open/a.csv").references()
    [listed] = await source("s3://open/*.csv").references()
    assert (before.id, before.version, before.token) == (listed.id, listed.version, listed.token)
    keyed.put("/open/a.csv", CSV)
    [same] = await source("s3://open/a.csv").references()
    assert same.version == before.version, "the same bytes, put there again"
    keyed.put("/open/a.csv", CSV + b"1,a,2\n")
    [after] = await source("s3://open/a.csv").references()
    assert (after.id, after.version != before.version) == (before.id, True)
    assert after.token != before.token


async def test_a_missing_driver_is_one_sentence_with_its_package() -> None:
    """As the drivers of gs:// and hf:// are not among what the tests install, these are really missing."""
    for url, package in (("gs://bucket/x.csv", "gcsfs"), ("hf://datasets/o/n/x.csv", "huggingface_hub")):
        with pytest.raises(SourceError, match=rf"nstall {package} to access .*\. Install that package"):
            await source(url).references()


def test_without_the_extra_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "s3fs.py").write_text("raise ModuleNotFoundError(\"No module named 's3fs'\", name='s3fs')\n")
    code = (
        "import asyncio\nfrom blocks.errors import UserError\nfrom blocks.sources.remote import RemoteFiles\n"
        "try:\n    asyncio.run(RemoteFiles('s3://bucket/x.csv').references())\n"
        "except UserError as error:\n    print(error)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "Install s3fs to access S3. It is the extra s3 of Trigpoint: pip install -e '.[s3]'\n"
