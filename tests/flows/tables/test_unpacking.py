"""A packed file in a CSV file's place, and files of other formats: taken out safely once, or refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blocks.errors import DatasetError
from flows.matrix.sheet import Sheet
from flows.tables.dataset import read_dataset
from flows.verification.batch import Job, with_slugs

TABLE = b"a,b\n1,2\n3,4\n"


def zipped(**files: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return out.getvalue()


def tarred(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        entry = tarfile.TarInfo("inner.csv")
        entry.size = len(data)
        archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "sales.csv.gz": gzip.compress,
    "sales.csv.bz2": bz2.compress,
    "sales.csv.xz": lzma.compress,
    "sales.zip": lambda data: zipped(inner__csv=data, readme__txt=b"read me"),
    "sales.tar.gz": tarred,
    "sales.csv": gzip.compress,
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_file_is_the_dataset_that_is_in_it(tmp_path: Path, name: str) -> None:
    plain, packed = tmp_path / "plain.csv", tmp_path / "packed" / name
    plain.write_bytes(TABLE)
    packed.parent.mkdir()
    packed.write_bytes(PACKED[name](TABLE))
    (packed.parent / "dataset.json").write_text(json.dumps({"title": "Sales"}))
    dataset = read_dataset(packed)
    assert (dataset.key, dataset.slug, dataset.title) == (read_dataset(plain).key, "sales", "Sales")
    assert dataset.path.read_bytes() == TABLE
    inode = dataset.path.stat().st_ino
    assert read_dataset(packed).path.stat().st_ino == inode, "it is unpacked once"
    jobs = with_slugs([Job(str(packed), None), Job(str(plain), None)])
    assert len(jobs) == 1, "one content is one dataset"


def test_a_folder_may_hold_its_table_packed(tmp_path: Path) -> None:
    (tmp_path / "Sales 2024").mkdir()
    (tmp_path / "Sales 2024" / "data.csv.gz").write_bytes(gzip.compress(TABLE))
    assert read_dataset(tmp_path / "Sales 2024").slug == "sales-2024"


def test_one_of_several_tables_is_named(tmp_path: Path) -> None:
    path = tmp_path / "months.zip"
    path.write_bytes(zipped(may__csv=TABLE, june__csv=TABLE + b"5,6\n"))
    with pytest.raises(DatasetError, match=r"holds 2 CSV files, not one. Name one with #FILE. It holds june.csv, may"):
        read_dataset(path)
    may, june = (read_dataset(Path(f"{path}#{name}.csv")) for name in ("may", "june"))
    assert (may.slug, june.slug) == ("may", "june")
    assert may.key != june.key


def test_a_bomb_goes_off_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" + b"0" * (64 << 20)))
    with pytest.raises(DatasetError, match="unpacks to more than 200 times its size"):
        read_dataset(path)
    small = tmp_path / "large.csv.gz"
    small.write_bytes(gzip.compress(TABLE * 1000))
    with pytest.raises(DatasetError, match="Give a smaller file or a sample of its rows"):
        read_dataset(small, max_bytes=1000)


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "torn.csv.gz"
    path.write_bytes(gzip.compress(TABLE * 999)[:-20])
    with pytest.raises(DatasetError, match="damaged"):
        read_dataset(path)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a": 2}\n', r"x.jsonl is JSON lines, not a CSV file. Convert it, with pandas"),
        ("x.json", b'[{"a": 1}]', r"x.json is JSON, not a CSV file. Convert it, with pandas"),
        ("x.parquet", b"PAR1....", "a Parquet file, not a CSV file. Convert it"),
        ("x.csv", b"PAR1....", "a Parquet file"),
        ("x.xlsx", zipped(**{"xl/workbook__xml": b"<x/>"}), "It is an Excel workbook, not a CSV file. Save the sheet"),
        ("x.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS.* `git lfs pull`"),
        ("x.csv", b"<!DOCTYPE html><html>", "a web page, not a CSV file. Give the address of the file itself"),
        ("x.csv.zst", b"\x28\xb5\x2f\xfd....", "Zstandard archive.*Unpack it with `zstd -d FILE`"),
        ("x.db", b"SQLite format 3\0", "an SQLite database"),
    ],
)
def test_another_format_is_refused_by_its_name_with_the_remedy(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=said):
        read_dataset(path)


def test_a_name_alone_refuses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_bytes(TABLE)
    assert read_dataset(path).path == path


def test_an_experiment_takes_a_packed_file_too(tmp_path: Path) -> None:
    path = tmp_path / "experiments.csv.gz"
    path.write_bytes(gzip.compress(b"provider,model,city\nollama,m,Oslo\n"))
    with Sheet(str(path), lambda row: "") as sheet:
        assert sheet.variables == ("city",)
