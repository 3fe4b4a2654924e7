"""Versions stay text, since 3.10 is not 3.1; fractions stay numbers."""

from __future__ import annotations

import io

import pytest

from sandbox_image.zygote.reading.loader import load
from sandbox_image.zygote.reading.rules import Rules

VERSIONS = {
    "version": ["3.8", "3.9", "3.10", "3.11", "3.12"],
    "release": ["1.2", "1.9", "1.10", "2.0", "2.10"],
    "os": ["10.8", "10.9", "10.10", "10.15"],
    "build": ["10.0", "10.1", "10.10", "10.2"],
    "android": ["4.0", "4.1", "4.10", "5.0"],
    "x": ["2.8", "2.9", "2.10"],
}
FRACTIONS = {
    "price": ["3.80", "3.90", "3.10", "4.00"],
    "rate": ["1.1995", "1.2048", "1.19", "1.2"],
    "score": ["3.8", "3.9", "3.1", "4"],
    "version": ["1.5", "2.5", "3.5"],
}


def kind(name: str, values: list[str]) -> tuple[str, list[str], list[str]]:
    text = f"{name};k\n" + "".join(f"{value};{place % 7}\n" for place, value in enumerate(values * 8))
    frame, facts = load(io.BytesIO(text.encode()), rules=Rules.parse({}))
    return str(frame[name].dtype), list(map(str, frame[name])), facts.warnings


@pytest.mark.parametrize(("name", "values"), VERSIONS.items())
def test_versions_stay_as_they_are_and_are_told(name: str, values: list[str]) -> None:
    dtype, found, notes = kind(name, values)
    assert dtype == "str"
    assert found == values * 8
    assert any("may be versions" in note for note in notes)


@pytest.mark.parametrize(("name", "values"), FRACTIONS.items())
def test_fractions_stay_numbers(name: str, values: list[str]) -> None:
    dtype, _, notes = kind(name, values)
    assert dtype == "float64"
    assert not notes
