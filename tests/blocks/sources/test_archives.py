"""Archives: the one table comes out whole; what is unsafe, damaged, too large or unclear is refused with the reason."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.sources.archives import extract_table, is_packed, other_format
from blocks.sources.models import FetchLimits, SourceRefused
from tests.support.file_server import rows

CSV = rows(200)
LIMITS = FetchLimits(max_bytes=64 * 2**20)


def zipped(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: Mapping[str, bytes | tarfile.TarInfo], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped_link() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("x.csv")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def extract(folder: Path, content: bytes, member: str = "", limits: FetchLimits = LIMITS) -> str:
    arrived = folder / "arrived"
    arrived.write_bytes(content)
    return extract_table(arrived, folder / "data.csv", member, limits)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        (CSV, ""),
        (gzip.compress(CSV), ""),
        (bz2.compress(CSV), ""),
        (lzma.compress(CSV), ""),
        (zipped({"in/x.csv": CSV, "readme.txt": b"hello", "__MACOSX/._x.csv": b"junk"}), "in/x.csv"),
        (tarred({"x.csv": CSV, "readme": b"hello"}), "x.csv"),
        (tarred({"./x.tsv": CSV}, "w:gz"), "./x.tsv"),
        (tarred({"x.csv": CSV}, "w:xz"), "x.csv"),
    ],
    ids=["plain", "gz", "bz2", "xz", "zip", "tar", "tar.gz", "tar.xz"],
)
def test_the_one_table_comes_out_whole(tmp_path: Path, content: bytes, taken: str) -> None:
    assert extract(tmp_path, content) == taken
    assert (tmp_path / "data.csv").read_bytes() == CSV
    assert names(tmp_path) == ["data.csv"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_file_is_chosen_by_its_name(tmp_path: Path, pack: Callable[[Mapping[str, bytes]], bytes]) -> None:
    two = pack({"a.csv": CSV, "deep/b.csv": rows(60, seed=1)})
    with pytest.raises(SourceRefused, match=r"2 CSV files.*Name one with #FILE.*a\.csv, deep/b\.csv"):
        extract(tmp_path, two)
    extract(tmp_path, two, "b.csv")
    assert (tmp_path / "data.csv").read_bytes() == rows(60, seed=1)
    with pytest.raises(SourceRefused, match=r"0 files called c\.csv"):
        extract(tmp_path, two, "c.csv")


@pytest.mark.parametrize(
    "content",
    [
        zipped({"../x.csv": CSV}),
        zipped({"/etc/x.csv": CSV}),
        zipped({"..\\x.csv": CSV}),
        zipped({"C:/x.csv": CSV}),
        zipped({"x.csv": CSV, "a/../../y": b"1"}),
        zipped_link(),
        tarred({"../x.csv": CSV}),
        tarred({"/x.csv": CSV}, "w:gz"),
        tarred({"x.csv": link("x.csv", "/etc/passwd")}),
        tarred({"x.csv": link("x.csv", "y", tarfile.LNKTYPE)}, "w:gz"),
        tarred({"x.csv": CSV, "p": link("p", "", tarfile.FIFOTYPE)}),
        tarred({"x.csv": CSV, "d": link("d", "", tarfile.CHRTYPE)}),
    ],
    # A compressed archive holds the time: as an id it would differ from one process to the next.
    ids=range(12),
)
def test_an_unsafe_archive_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "in" / "here"
    folder.mkdir(parents=True)
    with pytest.raises(SourceRefused, match="nothing was unpacked"):
        extract(folder, content)
    assert names(folder) == []
    assert names(tmp_path / "in") == ["here"]


def lying_zip(claimed: int) -> bytes:
    """A zip whose directory says its file unpacks to less than it does."""
    content = bytearray(zipped({"x.csv": b"a,b\n" + b"0,0\n" * 20_000_000}))
    at = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, at + 24, claimed)
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes(80 * 2**20)),
        bz2.compress(bytes(80 * 2**20)),
        zipped({"x.csv": bytes(80 * 2**20)}),
        tarred({"x.csv": bytes(80 * 2**20)}, "w:gz"),
        tarred({"other.bin": bytes(80 * 2**20), "x.csv": CSV}, "w:gz"),
    ],
    ids=["gz", "bz2", "zip", "tar.gz", "beside the table"],
)
@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (FetchLimits(max_bytes=10 * 2**20, max_ratio=1e9), "more than the 10,485,760 taken"),
        (FetchLimits(max_bytes=2**30, max_ratio=50), "more than 50 times its size"),
    ],
    ids=["bytes", "ratio"],
)
def test_a_bomb_is_stopped_by_either_cap(tmp_path: Path, content: bytes, limits: FetchLimits, words: str) -> None:
    with pytest.raises(SourceRefused, match=words):
        extract(tmp_path, content, limits=limits)
    assert names(tmp_path) == []


def test_a_size_the_archive_lies_about_does_not_lift_the_cap(tmp_path: Path) -> None:
    with pytest.raises(SourceRefused):
        extract(tmp_path, lying_zip(100), limits=FetchLimits(max_bytes=10 * 2**20, max_ratio=1e9))
    assert names(tmp_path) == []


def test_an_archive_of_very_many_files_is_refused(tmp_path: Path) -> None:
    many = {f"{n}.txt": b"" for n in range(40)} | {"x.csv": CSV}
    for content in (zipped(many), tarred(many)):
        with pytest.raises(SourceRefused, match="more than 30 files"):
            extract(tmp_path, content, limits=FetchLimits(max_members=30))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xef\xbb\xbf <!DOCTYPE html><html>sign in</html>", "web page"),
        (b"<html lang=en>", "web page"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PAR1....", "Parquet"),
        (b"\x89PNG\r\n\x1a\n....", "a PNG image, not a CSV file"),
        (b"\x80\x04\x95....", "a Python pickle, not a CSV file"),
        (b"", "empty"),
        (gzip.compress(b"<html>"), "web page"),
        (zipped({"readme.txt": b"x"}), "no CSV file, not one. It holds readme.txt"),
        (zipped({}), "It is empty"),
        (gzip.compress(CSV)[:-30], "damaged"),
        (zipped({"x.csv": CSV})[:-30], "damaged"),
        (tarred({"x.csv": CSV}, "w:gz")[:-200], "damaged"),
    ],
    ids=range(13),
)
def test_what_is_no_table_is_told_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(SourceRefused, match=words):
        extract(tmp_path, content)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["PAR1", "FEA1", "BZh91", "RDX2", "GIF89a", "%PDF"])
def test_a_table_whose_heading_begins_as_files_of_another_format_is_one(tmp_path: Path, name: str) -> None:
    table = f"{name},{name}_2\n1,2\n3,4\n".encode()
    assert not is_packed(table)
    assert other_format(table) is None
    extract(tmp_path, table)
    assert (tmp_path / "data.csv").read_bytes() == table


@given(
    content=st.sampled_from([gzip.compress(CSV), zipped({"x.csv": CSV}), tarred({"x.csv": CSV}, "w:gz")]),
    data=st.data(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_archive_gives_the_table_or_a_refusal(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    """Whatever byte behind its signature is changed: the very table, or nothing at all."""
    at = data.draw(st.integers(4, len(content) - 1))
    damaged = content[:at] + bytes([content[at] ^ data.draw(st.integers(1, 255))]) + content[at + 1 :]
    (tmp_path / "data.csv").unlink(missing_ok=True)
    refused = False
    try:
        extract(tmp_path, damaged)
    except SourceRefused:
        refused = True
    assert names(tmp_path) == ([] if refused else ["data.csv"])
    assert refused or (tmp_path / "data.csv").read_bytes() == CSV
