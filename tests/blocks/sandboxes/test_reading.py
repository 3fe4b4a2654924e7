"""Rules for reading a file: the host's record and the sandbox's are one, and what the rules add to keys."""

from __future__ import annotations

import io
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from blocks.errors import DatasetError
from blocks.sandboxes import ColumnType, ProcessRuntime, ReadingRules, Sandbox, SandboxLimits
from blocks.sandboxes.reading import MISSING_ANYWAY
from sandbox_image.zygote.reading.rules import COLUMN_TYPES, Rules

KEY = "ab" * 32


def test_host_and_sandbox_know_the_same_rules() -> None:
    assert set(ReadingRules.model_fields) == {each.name for each in fields(Rules)}
    assert get_args(ColumnType) == COLUMN_TYPES
    given = ReadingRules(encoding="cp1251", skip_lines=(2, 5), missing=("-",), types={"plz": "text"}, header_line=3)
    parsed = Rules.parse(given.model_dump(mode="json", exclude_defaults=True))
    assert (parsed.encoding, parsed.skip_lines, parsed.missing, dict(parsed.types), parsed.header_line) == (
        "cp1251", (2, 5), ("-",), {"plz": "text"}, 3,
    )  # fmt: skip
    assert Rules.parse(ReadingRules().model_dump(mode="json")) == Rules()


@pytest.mark.parametrize(
    "wrong",
    [{"colour": "red"}, {"delimiter": 5}, {"header_line": "1"}, {"missing": "NA"}, {"types": {"a": "float"}}, 3],
)
def test_rules_that_make_no_sense_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"reading rule|types of columns"):
        Rules.parse(wrong)


def test_a_table_is_another_one_by_other_rules() -> None:
    plain, given = ReadingRules(), ReadingRules(delimiter=";")
    assert plain.content(KEY) == KEY
    assert plain.parts() == []
    assert given.content(KEY) not in (KEY, ReadingRules(delimiter=",").content(KEY))
    assert given.parts() == [{"reading": {"delimiter": ";"}}]


async def test_a_sandbox_reads_by_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b;c\n1,2;3\n4,5;6\n")
    limits = SandboxLimits(preload="tables", max_sessions=1)
    async with await Sandbox.open(
        ProcessRuntime(), path, limits=limits, rules=ReadingRules(delimiter=";")
    ) as box, await box.session() as session:  # fmt: skip
        assert box.dataset.delimiter == ";"
        assert (await session.run("list(df.columns)")).value == "['a,b', 'c']"


def test_the_words_that_pandas_reads_as_missing_are_known() -> None:
    """With its own default, pandas reads these words as missing, and an empty field, which is no word."""
    known = import_module("pandas._libs.parsers").STR_NA_VALUES
    assert {*known} - {""} == MISSING_ANYWAY
    shown = "\n".join(["word", *sorted(MISSING_ANYWAY), "?", "none", "-"])
    assert list(pd.read_csv(io.StringIO(shown))["word"].dropna()) == ["?", "none", "-"]


def test_what_pandas_does_unasked_is_not_told() -> None:
    """A prompt's words stay what they were where a card only says what everybody sees."""
    assert ReadingRules(missing=("NA",)).sentence() == ""
    assert ReadingRules(missing=("NA", "?")).sentence() == 'By the rules given: read as missing: "?".'
    assert ReadingRules(missing=("NA",), delimiter=";").sentence().startswith("By the rules given: delimiter")


@pytest.mark.parametrize(
    ("table", "rules", "ends"),
    [
        # A value with two hyphens, or the option that is wrong, is no remedy.
        ("a,b\n1,2\n--x,3\n", {"types": {"a": "integer"}}, "'--x' (line 3) is no such value. Mend the rule, on the "
         "command line or in dataset.json."),
        ("a,b\n1,2\n3,4\n", {"types": {"--c": "integer"}}, "'b'. Mend the rule, on the command line or in "
         "dataset.json."),
        ("a,b\n1,2\n3,4\n", {"delimiter": ";"}, "first lines. Mend the rule, on the command line or in dataset.json."),
        ("a,b\n1,2\n1,2,3\n", {}, "--delimiter, --quote and --skip-lines say how the file is read."),
        ("a,b\n01/02/2020,2\n03/04/2020,3\n", {"types": {"a": "date"}}, "; say dmy or mdy instead of date."),
        ("a,b\n", {}, "no rows. Give a CSV file with a header line and at least one row."),
    ],
)  # fmt: skip
async def test_a_refusal_has_one_remedy(table: str, rules: dict[str, Any], ends: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(table)
    limits = SandboxLimits(preload="tables", max_sessions=1)
    with pytest.raises(DatasetError) as caught:
        await Sandbox.open(ProcessRuntime(), path, limits=limits, rules=ReadingRules(**rules))
    assert str(caught.value).endswith(ends)
