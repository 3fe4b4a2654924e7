"""What a person writes in one line names the right source, with its options; a mistake is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from blocks.dataset_source import DatasetSource, FsspecSource, HttpSource, KaggleSource, LocalSource, source_for
from blocks.sources.addresses import WebFiles
from blocks.sources.models import SourceError


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("https://x.org/a.zip?b=1#in/c.csv", HttpSource(url="https://x.org/a.zip?b=1", member="in/c.csv")),
        ("HTTP://x.org/a.csv", HttpSource(url="HTTP://x.org/a.csv")),
        ("s3://bucket/a.csv", FsspecSource(url="s3://bucket/a.csv")),
        ("zip://a.csv::https://x.org/a.zip", FsspecSource(url="zip://a.csv::https://x.org/a.zip")),
        ("data/*.csv", LocalSource(path="data/*.csv")),
        ("a.zip#b.csv", LocalSource(path="a.zip", member="b.csv")),
        ("file:///data/a.csv", LocalSource(path="/data/a.csv")),
        ("kaggle:ada/plants#a.csv", KaggleSource(refs=("ada/plants#a.csv",))),
        (
            "kaggle:?search=sea+ice&pages=3&licence=CC0&licence=ODbL",
            KaggleSource(search="sea ice", pages=3, licences=("CC0", "ODbL"), max_bytes=99),
        ),
    ],
)
async def test_a_line_names_its_source(text: str, source: DatasetSource) -> None:
    assert await source_for(text, max_bytes=99) == source


async def test_a_file_with_the_sign_in_its_name_is_that_file(tmp_path: Path) -> None:
    file = tmp_path / "a#b.csv"
    file.write_text("x")
    assert await source_for(str(file)) == LocalSource(path=str(file))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gopher://x/a.csv", "no protocol known here"),
        ("kaggle:?serch=x", r"not understood \(serch\)"),
        ("kaggle:?pages=0", r"not understood \(pages=0\)"),
    ],
)
async def test_a_mistake_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        await source_for(text)
    assert caught.value.remedy


async def test_a_password_in_an_address_is_used_and_never_written_down() -> None:
    [reference] = await WebFiles("https://ada:s3cr3t@x.org/plants.csv").references()
    assert reference.source == "https://x.org/plants.csv"
    assert "s3cr3t" not in reference.model_dump_json()


def test_secrets_of_a_block_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAGGLE_API_TOKEN", raising=False)
    block = KaggleSource(refs=("a/b",), username="ada", key="s3cr3t")
    other = HttpSource(url="https://x.org", headers={"X-Token": "s3cr3t"})
    assert "s3cr3t" not in repr(block) + repr(other) + str(block.engine()) + block.model_dump_json()
