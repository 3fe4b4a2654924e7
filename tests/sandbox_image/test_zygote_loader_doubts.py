"""Files that invite a wrong reading: refused with the option that settles it, or read with a sentence that says so."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest

from sandbox_image.zygote.loader import Facts, LoadError, load
from sandbox_image.zygote.rules import Rules


def read(data: str | bytes, **rules: Any) -> tuple[pd.DataFrame, Facts]:
    raw = data.encode() if isinstance(data, str) else data
    return load(io.BytesIO(raw), rules=Rules.parse(rules))


def refused(data: str | bytes, **rules: Any) -> str:
    with pytest.raises(LoadError) as caught:
        read(data, **rules)
    assert "\n" not in caught.value.message
    return caught.value.message


def said(data: str | bytes, **rules: Any) -> str:
    """All notes as one text."""
    return "\n".join(read(data, **rules)[1].warnings)


def words(*values: str, times: int = 6) -> str:
    """A table of words and numbers."""
    return "city,n\n" + "".join(f"{value},{at}\n" for at, value in enumerate(values * times))


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("cp1254", ("İstanbul", "İzmir", "Iğdır")),
        ("iso8859-2", ("Łódź", "Poznań", "Gdańsk")),
        ("iso8859-2", ("Łódź", "Kraków")),
        ("cp1257", ("Rīga", "Jūrmala", "Liepāja", "Rēzekne")),
        ("cp1257", ("Rīga", "Jūrmala", "Liepāja")),
        ("euc_jp", ("東京", "大阪", "名古屋", "奈良")),
        ("mac_roman", ("Zürich",)),
        ("mac_roman", ("København",)),
        ("cp850", ("Zürich",)),
        ("cp1250", ("Győr",)),
        ("iso8859-15", ("€ x", "€ y")),
    ],
)
def test_letters_are_read_right_or_the_encoding_is_asked_for(encoding: str, values: tuple[str, ...]) -> None:
    data = words(*values).encode(encoding)
    try:
        frame, facts = read(data)
    except LoadError as error:
        assert error.reason == "encoding" and "--encoding" in error.message
    else:
        assert frame["city"].head(len(values)).tolist() == list(values)
        assert any("it was read as" in note for note in facts.warnings)


@pytest.mark.parametrize(
    "value",
    ["São Paulo", "København", "Genève", "Côte d'Ivoire", "Curaçao", "España", "Zürich", "in °C", "in µg", "m²", "£ x"],
)
def test_one_word_of_western_europe_is_no_doubt(value: str) -> None:
    assert read(words(value).encode("cp1252"))[0]["city"].iloc[0] == value


def test_a_doubt_about_the_encoding_names_every_candidate_as_an_option() -> None:
    message = refused(words("Zürich").encode("cp850"))
    assert "--encoding mac_roman or --encoding cp852 or --encoding cp850" in message
    assert read(words("Zürich").encode("cp850"), encoding="cp850")[0]["city"].iloc[0] == "Zürich"
