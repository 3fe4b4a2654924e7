"""The rules of a run for reading files: as the command line, the UI and a card give them, and which of them hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flows.download
import flows.episode
import flows.nightly
import flows.question
from blocks.command_line import parse
from blocks.errors import DatasetError, UserError
from blocks.sandboxes import ReadingRules
from flows.generation.options import QuestionOptions
from flows.sharing.datasets import SharedDatasets
from flows.tables.dataset import read_dataset
from flows.tables.intake import DownloadOptions
from flows.tables.reading import one_way_to_read
from flows.verification.batch import Job, gather_questions, with_slugs
from flows.verification.options import EpisodeOptions
from tests.support.properties import PATIENT

FLOWS = [flows.download.download, flows.question.question, flows.episode.episode]
LINE = [
    "--encoding", "Windows-1251", "--delimiter", "tab", "--quote", "'", "--escape", "\\", "--decimal", ",",
    "--thousands", "none", "--header-line", "0", "--skip-lines", "2,15", "--skip-lines", "4", "--footer-lines", "1",
    "--comment", "#", "--missing", "NA", "--missing", "-", "--missing", '"a, b",..', "--types", "plz=text,a, b=date",
]  # fmt: skip
RULES = ReadingRules(
    encoding="cp1251", delimiter="\t", quote="'", escape="\\", decimal=",", thousands="", header_line=0,
    skip_lines=(2, 4, 15), footer_lines=1, comment="#", missing=("-", "..", "NA", "a, b"),
    types={"a, b": "date", "plz": "text"},
)  # fmt: skip


@pytest.mark.parametrize("flow", FLOWS)
def test_every_flow_that_takes_files_takes_the_rules(flow: Any) -> None:
    assert parse(flow, ["x.csv", *LINE])["options"].reading == RULES


def test_a_night_gives_its_flows_their_rules() -> None:
    words = [f"--download.{word[2:]}" if word.startswith("--") else word for word in LINE]
    assert parse(flows.nightly.nightly, words)["download"].reading == RULES


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--delimiter", "ab"], "--delimiter: a mark is one character"),
        (["--encoding", "utf9"], "--encoding: Python knows no text encoding of this name"),
        (["--types", "plz=float"], "--types: write NAME=TYPE"),
        (["--header-line", "-1"], "--header-line"),
        (["--skip-lines", "0"], "--skip-lines"),
        (["--decimal", ",", "--thousands", ","], 'decimal and thousands cannot both be ","'),
        (["--delimiter", ";", "--quote", ";"], 'delimiter and quote cannot both be ";"'),
    ],
)
def test_a_rule_that_makes_no_sense_is_one_sentence(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        parse(flows.question.question, ["x.csv", *words])
    assert end.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert said in told
    assert "Traceback" not in told


@pytest.mark.parametrize("options", [DownloadOptions, QuestionOptions, EpisodeOptions])
def test_the_form_describes_every_rule(options: type[Any]) -> None:
    schema = options.model_json_schema()["$defs"]["ReadingRules"]["properties"]
    assert schema.keys() == ReadingRules.model_fields.keys()
    assert all(rule.get("description") for rule in schema.values())


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8), max_size=5))
@PATIENT
def test_missing_words_survive_the_way_to_another_host(words: list[str]) -> None:
    options = QuestionOptions(reading=ReadingRules(missing=tuple(words)))
    assert QuestionOptions.model_validate_json(options.model_dump_json()).reading == options.reading


def put(folder: Path, text: str = "a;b\n1;2\n", **card: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.csv").write_text(text)
    if card:
        (folder / "dataset.json").write_text(json.dumps(card))
    return folder


def test_a_card_has_rules_and_a_run_stands_above_them(tmp_path: Path) -> None:
    folder = put(tmp_path / "sales", reading={"delimiter": ";", "missing": ["-"]})
    own = read_dataset(folder)
    assert own.reading == ReadingRules(delimiter=";", missing=("-",))
    assert own.overruled == ""
    same = read_dataset(folder, reading=ReadingRules(delimiter=";", quote="'"))
    assert same.overruled == "", "what is said twice is no contradiction"
    other = read_dataset(folder, reading=ReadingRules(delimiter=","))
    assert other.reading == ReadingRules(delimiter=",", missing=("-",))
    assert 'read by delimiter ",", as given, and not by delimiter ";"' in other.overruled
    assert len({own.content, same.content, other.content}) == 3


def test_a_missing_word_of_a_card_may_have_a_comma(tmp_path: Path) -> None:
    dataset = read_dataset(put(tmp_path / "sales", reading={"missing": ["none, as yet"]}))
    assert dataset.reading.missing == ("none, as yet",)


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ({"colour": "red"}, "reading.colour is no rule for reading a file; the rules are encoding, delimiter"),
        ({"delimiter": "ab"}, "reading.delimiter: a mark is one character"),
        ({"header_line": "first"}, "reading.header_line"),
    ],
)
def test_a_card_with_a_rule_that_makes_no_sense_is_told(tmp_path: Path, reading: Any, said: str) -> None:
    with pytest.raises(DatasetError) as caught:
        read_dataset(put(tmp_path / "sales", reading=reading))
    assert said in str(caught.value)


def test_rules_that_do_not_fit_a_cards_are_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="do not fit together"):
        read_dataset(put(tmp_path / "sales", reading={"quote": ";"}), reading=ReadingRules(delimiter=";"))


def test_the_same_file_by_other_rules_is_another_dataset(tmp_path: Path) -> None:
    plain = put(tmp_path / "a" / "sales")
    ruled = put(tmp_path / "b" / "sales", reading={"delimiter": ";"})
    jobs = with_slugs([Job(str(plain), None), Job(str(ruled), None)])
    assert len({job.slug for job in jobs}) == 2
    held = {each.manifest.key for each in SharedDatasets(_NOWHERE, tmp_path / "home").held()}
    assert held == set()
    for name in ("a", "b"):
        put(
            tmp_path / "home" / "datasets" / name, **({"reading": {"delimiter": ";"}} if name == "b" else {"title": ""})
        )
    held = {each.manifest.key for each in SharedDatasets(_NOWHERE, tmp_path / "home").held()}
    assert held == {read_dataset(plain).content, read_dataset(ruled).content}, "no object of one is the other's"


_NOWHERE: Any = None


def test_questions_made_under_other_rules_are_told_of_and_not_asked(tmp_path: Path) -> None:
    folder = put(tmp_path / "sales")
    made, asked = read_dataset(folder), read_dataset(folder, reading=ReadingRules(delimiter=";"))
    lines = [{"id": f"t{number}", "text": f"{number}?", "dataset_key": made.content} for number in range(40)]
    file = tmp_path / "q.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(gather_questions(made, file, [], tmp_path).questions) == 40
    left = gather_questions(asked, file, [], tmp_path)
    assert left.questions == ()
    (told,) = left.problems
    assert "t0, t1, t2 and 37 more were made for" in told
    assert "other rules for reading it" in told


def test_a_night_reads_its_files_in_one_way() -> None:
    one_way_to_read(RULES, RULES)
    with pytest.raises(UserError, match=r"made of files read by delimiter \";\", and answered"):
        one_way_to_read(ReadingRules(delimiter=";"), ReadingRules())
