"""How a run is told to read CSV files: one field for the options of every flow that takes such files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import BeforeValidator, Field, PlainSerializer

from blocks.errors import UserError
from blocks.sandboxes.reading import ReadingRules


def _apart(rules: Any) -> Any:
    """Words between commas, as a command line gives them, are words of their own; one in quotation marks is whole."""
    if not isinstance(rules, Mapping) or not isinstance(rules.get("missing"), str | list | tuple):
        return rules
    given = rules["missing"]
    texts = [given] if isinstance(given, str) else given
    return {**rules, "missing": [word for text in texts for word in _split(text)]}


def _split(text: Any) -> Iterable[Any]:
    if not isinstance(text, str):
        return [text]
    return (word for row in csv.reader([text], skipinitialspace=True) for word in row if word)


def _quoted(rules: ReadingRules) -> dict[str, Any]:
    """As the options take it: what has a comma or a quotation mark in it is quoted."""
    given = rules.given_rules()
    if rules.missing:
        given["missing"] = [f'"{word.replace(chr(34), chr(34) * 2)}"' for word in rules.missing]
    return given


Reading = Annotated[
    ReadingRules,
    BeforeValidator(_apart),
    PlainSerializer(_quoted),
    Parameter(name="*"),
    Field(description="how CSV files are read; what is not given is found out, or said by their dataset.json"),
]
"""The rules of a run; they stand in place of what a dataset's card says."""


def one_way_to_read(questions: ReadingRules, episodes: ReadingRules) -> None:
    """Questions are asked of the table they were made for.

    Raises:
        UserError: They would be made by other rules than they are answered by.
    """
    if questions != episodes:
        made = "; ".join(questions.words()) or "what is found out"
        asked = "; ".join(episodes.words()) or "what is found out"
        raise UserError(
            f"Questions would be made of files read by {made}, and answered from files read by {asked}.",
            "Give the same rules to --question and --episode, or give them to --download, which writes them down.",
        )
