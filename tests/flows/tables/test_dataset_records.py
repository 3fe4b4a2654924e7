"""Dataset records: identity by content, safe names, and one sentence for what cannot be taken."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.errors import DatasetError
from flows.tables.dataset import Dataset, read_dataset, slug_of, with_distinct_slugs

CSV = b"a,b\n1,2\n"


def put(path: Path, content: bytes = CSV) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    first, copy = read_dataset(put(tmp_path / "a.csv")), read_dataset(put(tmp_path / "b" / "other.csv"))
    assert first.key == copy.key == hashlib.sha256(CSV).hexdigest()
    assert first.bytes == len(CSV)
    assert read_dataset(put(tmp_path / "c.csv", CSV + b"3,4\n")).key != first.key


def test_a_folder_with_data_csv_is_a_dataset_named_by_the_folder_with_its_card(tmp_path: Path) -> None:
    file = put(tmp_path / "Palmer Penguins" / "data.csv")
    card = {"title": "Penguins", "licence": "CC0-1.0", "source": "s", "columns": {"a": "first"}, "more": [1]}
    card |= {"version": "3", "tags": ["birds"], "url": "https://x.org"}
    put(file.with_name("dataset.json"), json.dumps(card).encode())
    for path in (file, file.parent):
        dataset = read_dataset(path)
        assert (dataset.slug, dataset.title, dataset.licence) == ("palmer-penguins", "Penguins", "CC0-1.0")
        assert dataset.column_notes == {"a": "first"}
        assert (dataset.version, dataset.tags, dataset.url) == ("3", ("birds",), "https://x.org")


def bad(tmp_path: Path) -> dict[str, tuple[Path, str]]:
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder").mkdir()
    no_json, no_card = put(tmp_path / "no_json" / "data.csv"), put(tmp_path / "no_card" / "data.csv")
    put(no_json.with_name("dataset.json"), b"{")
    put(no_card.with_name("dataset.json"), b'{"title": 5}')
    return {
        "missing": (tmp_path / "none.csv", "does not exist"),
        "folder": (tmp_path / "folder", "is a folder without a data.csv"),
        "empty": (put(tmp_path / "empty.csv", b""), "is empty"),
        "large": (put(tmp_path / "large.csv", b"x" * 200), "more than the 100 taken"),
        "pipe": (tmp_path / "pipe.csv", "not a regular file"),
        "card no JSON": (no_json, "not valid JSON"),
        "card no card": (no_card, "title"),
    }


@pytest.mark.parametrize("case", ["missing", "folder", "empty", "large", "pipe", "card no JSON", "card no card"])
def test_what_cannot_be_taken_is_one_sentence_with_a_remedy(tmp_path: Path, case: str) -> None:
    path, words = bad(tmp_path)[case]
    with pytest.raises(DatasetError) as caught:
        read_dataset(path, max_bytes=100)
    assert words in caught.value.message
    assert caught.value.remedy
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "slug"),
    [
        ("/x/My Data (v2).csv", "my-data-v2"),
        ("/x/Größe.csv", "groe"),
        ("/x/.hidden.csv", "hidden"),
        ("/x/data.csv", "x"),
        ("/x/a/../../etc.csv", "etc"),
    ],
)
def test_slugs(path: str, slug: str) -> None:
    assert slug_of(Path(path)) == slug


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=120))
def test_any_name_makes_a_slug_that_is_a_safe_file_name(name: str) -> None:
    slug = slug_of(Path("/x") / (name + ".csv"))
    dataset = Dataset(slug=slug, key="ab" * 32, path=Path("x"), bytes=1)
    assert dataset.slug == slug
    assert slug not in (".", "..")


def test_other_contents_under_one_slug_are_told_apart_and_equal_ones_are_one(tmp_path: Path) -> None:
    files = [put(tmp_path / f / "sales.csv", c) for f, c in (("a", b"x\n1\n"), ("b", b"x\n2\n"), ("c", b"x\n1\n"))]
    files.append(put(tmp_path / "other.csv", b"y\n1\n"))
    slugs = [dataset.slug for dataset in with_distinct_slugs(read_dataset(file) for file in files)]
    assert len(slugs) == len(set(slugs)) == 3
    assert slugs[2] == "other"
    assert all(slug.startswith("sales-") for slug in slugs[:2])
