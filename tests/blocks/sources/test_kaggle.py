"""Kaggle through its real client library, against a stand-in that speaks the same wire."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from blocks.sources.kaggle_api import Credentials, KaggleDatasets, Search
from blocks.sources.models import FetchLimits, RetryLimits, SourceError, SourceRefused
from tests.support.file_server import FileServer, Reply, ranged, rows
from tests.support.kaggle_server import KaggleDataset, KaggleServer

QUICK = RetryLimits(attempts=3, stall_s=60, first_wait_s=0)
CSV = rows(300)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as server:
        yield server


@pytest.fixture(autouse=True)
def foreign_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that lie about must not be used: a home and an environment full of them."""
    home = tmp_path / "home" / ".kaggle"
    home.mkdir(parents=True)
    (home / "access_token").write_text("token-of-the-home")
    (home / "kaggle.json").write_text('{"username": "home", "key": "of-the-home"}')
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "token-of-the-environment")


def kaggle(
    server: FileServer,
    *refs: str,
    search: Search | None = None,
    credentials: Credentials | None = None,
) -> KaggleDatasets:
    return KaggleDatasets(refs, search, credentials=credentials, base_url=server.url, retry=QUICK)


async def test_a_dataset_is_listed_and_fetched(server: FileServer, tmp_path: Path) -> None:
    user = ("ada", "key")
    KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": CSV, "notes.md": b"x"}, version=4), user=user)
    source = kaggle(server, "ada/plants", credentials=Credentials(*user))
    [reference] = await source.references()
    assert (reference.id, reference.version, reference.name) == ("kaggle:ada/plants", "4", "ada-plants")
    fetched = await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert fetched.path.read_bytes() == CSV
    facts = fetched.facts
    assert (facts.title, facts.licence, facts.tags) == ("All about ada/plants", "CC0: Public Domain", ("biology",))
    assert (facts.version, facts.url) == ("4", "https://www.kaggle.com/datasets/ada/plants")
    assert "signature" not in fetched.model_dump_json()


async def test_only_the_credentials_given_are_sent(server: FileServer) -> None:
    KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": CSV}))
    for credentials, sent in (
        (Credentials(), None),
        (Credentials("ada", "key"), "Basic YWRhOmtleQ=="),
        (Credentials("", "token"), "Bearer token"),
    ):
        await kaggle(server, "ada/plants", credentials=credentials).references()
        assert server.requests[-1].headers.get("authorization") == sent


async def test_a_wrong_key_is_one_sentence_and_not_tried_again(server: FileServer) -> None:
    stand_in = KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": CSV}), user=("ada", "key"))
    with pytest.raises(SourceError, match="KAGGLE_USERNAME and KAGGLE_KEY") as caught:
        await kaggle(server, "ada/plants", credentials=Credentials("ada", "wr0ng")).references()
    assert stand_in.called("GetDataset") == 1
    assert "wr0ng" not in str(caught.value) + repr(Credentials("ada", "wr0ng"))


@pytest.mark.parametrize("ref", ["plants", "ada/plants/x", "ada//", "ada/plants/1/2"])
async def test_a_misspelt_ref_asks_nobody(server: FileServer, ref: str) -> None:
    with pytest.raises(SourceError, match="no Kaggle dataset"):
        await kaggle(server, ref).references()
    assert server.requests == []


async def test_what_is_not_there_is_one_sentence(server: FileServer) -> None:
    KaggleServer(server)
    with pytest.raises(SourceError, match=r"kaggle:ada/none: Kaggle answered 404\. Check the spelling"):
        await kaggle(server, "ada/none").references()


@pytest.mark.parametrize("files", [{"a.csv": CSV, "b.csv": CSV}, {"readme.md": b"x"}])
async def test_a_dataset_without_its_one_csv_is_refused(
    server: FileServer, tmp_path: Path, files: dict[str, bytes]
) -> None:
    stand_in = KaggleServer(server, KaggleDataset("ada/many", files))
    source = kaggle(server, "ada/many")
    [reference] = await source.references()
    with pytest.raises(SourceRefused, match=r"2 CSV files.*a\.csv, b\.csv" if len(files) == 2 else "no CSV file"):
        await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert stand_in.called("DownloadDataset") == 0


async def test_a_file_and_a_version_can_be_named(server: FileServer, tmp_path: Path) -> None:
    stand_in = KaggleServer(server, KaggleDataset("ada/many", {"a.csv": b"a\n", "b.csv": CSV}, version=9))
    source = kaggle(server, "ada/many/3#b.csv")
    [reference] = await source.references()
    assert (reference.id, reference.version) == ("kaggle:ada/many/3#b.csv", "3")
    fetched = await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert fetched.path.read_bytes() == CSV
    method, asked = stand_in.calls[-1]
    assert (method, asked["fileName"], asked["datasetVersionNumber"]) == ("DownloadDataset", "b.csv", 3)


async def test_a_file_that_kaggle_packed_is_unpacked(server: FileServer, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("plants.csv", CSV)
    KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": packed.getvalue()}))
    source = kaggle(server, "ada/plants")
    [reference] = await source.references()
    fetched = await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert fetched.path.read_bytes() == CSV


async def refs_of(source: KaggleDatasets) -> Sequence[str]:
    return [reference.id for reference in await source.references()]


async def test_a_search_takes_what_fits_by_votes(server: FileServer) -> None:
    KaggleServer(
        server,
        KaggleDataset("a/plants-few", {"x.csv": CSV}, votes=1),
        KaggleDataset("b/plants-most", {"x.csv": CSV, "readme.md": b""}, votes=9),
        KaggleDataset("c/plants-two", {"x.csv": CSV, "y.csv": CSV}, votes=8),
        KaggleDataset("d/plants-large", {"x.csv": rows(5_000)}, votes=7),
        KaggleDataset("e/plants-closed", {"x.csv": CSV}, votes=6, licence="Other"),
        KaggleDataset("f/animals", {"x.csv": CSV}, votes=5),
    )
    search = Search("plants", licences=("cc0",), max_bytes=20_000)
    assert await refs_of(kaggle(server, search=search)) == ["kaggle:b/plants-most", "kaggle:a/plants-few"]


async def test_a_search_reads_as_many_pages_as_asked(server: FileServer) -> None:
    many = [KaggleDataset(f"a/d{n:02}", {"x.csv": CSV}, votes=100 - n) for n in range(45)]
    stand_in = KaggleServer(server, *many)
    assert len(await refs_of(kaggle(server, search=Search(pages=2)))) == 40
    assert stand_in.called("ListDatasets") == 2
    assert len(await refs_of(kaggle(server, search=Search(pages=9)))) == 45
    assert stand_in.called("ListDatasets") == 5, "a page that is not full is the last"


async def test_an_overloaded_kaggle_is_asked_again(server: FileServer) -> None:
    stand_in = KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": CSV}))
    stand_in.troubles = [Reply(status="429 Too Many Requests", headers={"Retry-After": "0"}), Reply(status="502 Bad")]
    assert await refs_of(kaggle(server, "ada/plants")) == ["kaggle:ada/plants"]
    stand_in.troubles = [Reply(status="503 No", headers={"X-RateLimit-Reset": "86400"})]
    assert await refs_of(kaggle(server, "ada/plants")) == ["kaggle:ada/plants"], "no limit is the reason"
    stand_in.troubles = [Reply(status="503 No")] * 3
    with pytest.raises(SourceError, match="503"):
        await kaggle(server, "ada/plants").references()


async def test_a_transfer_goes_on_though_its_signed_address_has_changed(server: FileServer, tmp_path: Path) -> None:
    stand_in = KaggleServer(server, KaggleDataset("ada/plants", {"plants.csv": CSV}))
    source = kaggle(server, "ada/plants")
    [reference] = await source.references()
    server.files["/storage/ada/plants/plants.csv"] = Reply(CSV, headers={"ETag": '"v1"'}, cut_after=1_000)
    with pytest.raises(SourceError, match=r"plants#plants\.csv broke off") as caught:
        await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert "signature" not in str(caught.value)
    server.files["/storage/ada/plants/plants.csv"] = ranged(CSV)
    fetched = await source.fetch(reference, tmp_path, FetchLimits(), lambda *_: None)
    assert fetched.path.read_bytes() == CSV
    assert fetched.transferred == len(CSV) - 1_000
    assert stand_in.called("DownloadDataset") == 2
