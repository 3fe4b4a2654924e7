"""Local and fsspec sources: what a path, a folder, a glob or a URL names, and how it is copied."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal
from urllib.request import url2pathname

import fsspec
import pytest
from fsspec.registry import known_implementations

from blocks.sources.local import LocalFiles
from blocks.sources.models import FetchLimits, Reference, RetryLimits, Source, SourceError, SourceRefused
from blocks.sources.remote import RemoteFiles
from tests.support.file_server import rows

CSV = rows(80)


def put(path: Path, content: bytes = CSV) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def brought(source: Source, folder: Path, limits: FetchLimits | None = None) -> dict[str, bytes]:
    """Every table the source has, by name."""
    tables = {}
    for reference in await source.references():
        fetched = await source.fetch(reference, folder / reference.token, limits or FetchLimits(), lambda *_: None)
        tables[reference.name] = fetched.path.read_bytes()
    return tables


def named(references: object) -> list[str]:
    assert isinstance(references, list)
    return [Path(url2pathname(reference.source.removeprefix("file://"))).name for reference in references]


async def test_files_folders_and_globs(tmp_path: Path) -> None:
    files = tmp_path / "in"
    for name in ("b.csv", "a.csv", "c.tsv", "notes.txt", "sub/deep.csv"):
        put(files / name)
    put(files / "d.csv.gz", gzip.compress(CSV))
    put(files / "set" / "data.csv")
    assert named(await LocalFiles(str(files / "a.csv")).references()) == ["a.csv"]
    assert named(await LocalFiles(str(files)).references()) == ["a.csv", "b.csv", "c.tsv", "d.csv.gz", "data.csv"]
    assert named(await LocalFiles(str(files / "*.csv")).references()) == ["a.csv", "b.csv"]
    every = await LocalFiles(str(files / "**" / "*.csv")).references()
    assert named(every) == ["a.csv", "b.csv", "data.csv", "deep.csv"]
    tables = await brought(LocalFiles(str(files)), tmp_path / "out")
    assert tables == dict.fromkeys(["a.csv", "b.csv", "c.tsv", "d.csv.gz", "set"], CSV)
    assert (files / "a.csv").read_bytes() == CSV, "the original stays"


def in_zip(*names: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return packed.getvalue()


def in_tar(mode: Literal["w", "w:gz", "w:bz2", "w:xz"]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        entry = tarfile.TarInfo("t.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    return packed.getvalue()


PACKED = {
    "a.zip": in_zip("t.csv"),
    "b.CSV.ZIP": in_zip("t.csv"),
    "c.tar": in_tar("w"),
    "d.tar.gz": in_tar("w:gz"),
    "e.tgz": in_tar("w:gz"),
    "f.tar.bz2": in_tar("w:bz2"),
    "g.tar.xz": in_tar("w:xz"),
    "h.tsv.gz": gzip.compress(CSV),
}


@pytest.mark.parametrize("remote", [False, True])
async def test_a_folder_gives_its_packed_tables_and_archives(tmp_path: Path, remote: bool) -> None:
    files = tmp_path / "in"
    for name, content in PACKED.items():
        put(files / name, content)
    for name in ("notes.txt.gz", "notes.txt", "a.zip.txt", "zip", "log.gz"):
        put(files / name)
    source = RemoteFiles(files.as_uri()) if remote else LocalFiles(str(files))
    assert await brought(source, tmp_path / "out") == dict.fromkeys(PACKED, CSV)


async def test_what_a_folder_has_and_cannot_be_unpacked_is_refused_and_not_left_out(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.csv.zst", b"\x28\xb5\x2f\xfd" + bytes(40))
    put(tmp_path / "in" / "two.zip", in_zip("x.csv", "y.csv"))
    source = LocalFiles(str(tmp_path / "in"))
    zstandard, two = await source.references()
    for reference, words in ((zstandard, "Zstandard"), (two, "2 CSV files")):
        with pytest.raises(SourceRefused, match=words):
            await source.fetch(reference, tmp_path / "out", FetchLimits(), lambda *_: None)


async def test_a_name_with_signs_is_found_again(tmp_path: Path) -> None:
    put(tmp_path / "in" / "Größe #1 (50%).csv")
    assert await brought(LocalFiles(str(tmp_path / "in")), tmp_path / "out") == {"Größe #1 (50%).csv": CSV}


async def test_the_card_of_a_dataset_folder_goes_along(tmp_path: Path) -> None:
    card = {"title": "T", "licence": "CC0-1.0", "columns": {"kind": "a letter", "age": 3}, "more": [1]}
    put(tmp_path / "set" / "data.csv")
    put(tmp_path / "set" / "dataset.json", json.dumps(card).encode())
    [reference] = await LocalFiles(str(tmp_path / "set")).references()
    facts = reference.facts
    assert (reference.name, facts.title, facts.licence, facts.column_notes) == (
        "set",
        "T",
        "CC0-1.0",
        {"kind": "a letter"},
    )


@pytest.mark.parametrize(("pattern", "words"), [("none.csv", "does not exist"), ("*.csv", "no CSV"), (".", "no CSV")])
async def test_nothing_there_is_one_sentence(tmp_path: Path, pattern: str, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        await LocalFiles(str(tmp_path / pattern)).references()


async def test_a_changed_file_is_another_version(tmp_path: Path) -> None:
    file = put(tmp_path / "a.csv")
    [before] = await LocalFiles(str(file)).references()
    put(file, CSV + b"1,a,2\n")
    [after] = await LocalFiles(str(file)).references()
    assert before.source == after.source
    assert before.version != after.version
    assert before.token != after.token


async def test_a_file_over_the_cap_is_not_copied(tmp_path: Path) -> None:
    put(tmp_path / "a.csv")
    for source in (LocalFiles(str(tmp_path / "a.csv")), RemoteFiles(f"local://{tmp_path / 'a.csv'}")):
        with pytest.raises(SourceRefused, match="more than the 100 taken"):
            await brought(source, tmp_path / "out", FetchLimits(max_bytes=100))


@pytest.fixture
def bucket() -> Iterator[str]:
    system = fsspec.filesystem("memory")
    system.pipe({"/bucket/a.csv": CSV, "/bucket/deep/b.csv": rows(70, seed=1), "/bucket/notes.txt": b"x"})
    yield "memory://bucket"
    system.rm("/bucket", recursive=True)


async def test_fsspec_files_folders_and_globs(tmp_path: Path, bucket: str) -> None:
    assert await brought(RemoteFiles(f"{bucket}/a.csv"), tmp_path) == {"a.csv": CSV}
    assert await brought(RemoteFiles(bucket), tmp_path) == {"a.csv": CSV, "b.csv": rows(70, seed=1)}
    assert await brought(RemoteFiles(f"{bucket}/*.csv"), tmp_path) == {"a.csv": CSV}


async def test_fsspec_versions_follow_the_content(bucket: str) -> None:
    [before] = await RemoteFiles(f"{bucket}/a.csv").references()
    [same] = await RemoteFiles(f"{bucket}/a.csv").references()
    fsspec.filesystem("memory").pipe("/bucket/a.csv", CSV + b"1,a,1\n")
    [after] = await RemoteFiles(f"{bucket}/a.csv").references()
    assert before == same
    assert before.version != after.version


async def test_a_chain_reaches_into_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in/a.csv", CSV)
        archive.writestr("in/b.csv", rows(70, seed=1))
    one = RemoteFiles(f"zip://in/a.csv::file://{tmp_path / 'x.zip'}")
    assert await brought(one, tmp_path / "out") == {"a.csv": CSV}
    every = RemoteFiles(f"zip://in/*.csv::file://{tmp_path / 'x.zip'}")
    assert await brought(every, tmp_path / "out") == {"a.csv": CSV, "b.csv": rows(70, seed=1)}


async def test_a_missing_driver_is_one_sentence_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"class": "no_such_module_of_ours.System", "err": "Install s4fs to access S4"}
    monkeypatch.setitem(known_implementations, "s4", broken)
    with pytest.raises(SourceError) as caught:
        await RemoteFiles("s4://bucket/x.csv").references()
    assert str(caught.value) == "Install s4fs to access S4. Install that package beside Trigpoint."


async def test_what_is_not_there_is_one_sentence(bucket: str) -> None:
    with pytest.raises(SourceError, match=r"none\.csv cannot be read"):
        await RemoteFiles(f"{bucket}/none.csv").references()


async def test_a_broken_read_is_tried_again_from_the_start(
    tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsspec.filesystem("memory")
    opened, real = [], type(system).open

    def flaky(self: object, path: str, mode: str = "rb", **options: object) -> object:
        opened.append(path)
        if len(opened) < 3:
            raise OSError("connection reset by peer")
        return real(self, path, mode, **options)

    monkeypatch.setattr(type(system), "open", flaky)
    source = RemoteFiles(f"{bucket}/a.csv", retry=RetryLimits(attempts=3, first_wait_s=0))
    assert await brought(source, tmp_path) == {"a.csv": CSV}
    opened.clear()
    source = RemoteFiles(f"{bucket}/a.csv", retry=RetryLimits(attempts=2, first_wait_s=0))
    with pytest.raises(SourceError, match="connection reset"):
        await brought(source, tmp_path)


async def test_a_file_shorter_than_announced_is_never_taken(tmp_path: Path, bucket: str) -> None:
    source = RemoteFiles(f"{bucket}/a.csv", retry=RetryLimits(attempts=2, first_wait_s=0))
    [reference] = await source.references()
    longer = Reference.model_validate(reference.model_dump() | {"bytes": len(CSV) + 1})
    with pytest.raises(SourceError, match=f"{len(CSV):,} of {len(CSV) + 1:,} bytes"):
        await source.fetch(longer, tmp_path, FetchLimits(), lambda *_: None)
    assert not (tmp_path / "data.csv").exists()
