"""Reading proposals out of replies: whatever the form, everything that is there, and never anything that is not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.chat.models import Message, ToolCall
from flows.generation.proposals import Proposal, Unreadable, read_proposals, read_wordings
from flows.questions.records import AnswerSpec, ValueSpec
from tests.support.proposing import code_block, json_block, proposal

ONE = proposal("How many rows are there?", "submit(len(df))")


def said(text: str, *calls: ToolCall) -> Message:
    return Message(role="assistant", content=text, tool_calls=calls)


@pytest.mark.parametrize(
    "reply",
    [
        json_block({"questions": [ONE]}),
        json_block({"questions": [ONE]}, "Here they are:"),
        json_block([ONE]),
        json_block(ONE),
        "```\n" + json.dumps({"questions": [ONE]}, indent=2) + "\n```",
        json.dumps({"questions": [ONE]}),
        "My questions: " + json.dumps({"questions": [ONE]}),
        "<think>I could ask ```json {} ```</think>\n" + json_block({"questions": [ONE]}),
        json_block({"questions": [{**ONE, "difficulty": "Very Hard", "why": "because", "score": 3}]}),
        json_block({"questions": [{**ONE, "program": ["submit(len(df))"]}]}),
        json_block({"questions": [{**ONE, "answer": {"type": "FLOAT", "decimals": 2, "unit": None, "note": ""}}]}),
        json_block(
            {"questions": [{("text" if key == "question" else key): value for key, value in ONE.items()}]}
        ),
    ],
)  # fmt: skip
def test_the_forms_models_write(reply: str) -> None:
    found = read_proposals(said(reply))
    assert found is not None
    (item,) = found.items
    assert isinstance(item, Proposal)
    assert (item.question, item.program) == (ONE["question"], ONE["program"])
    assert (item.answer.type, item.answer.decimals) == ("float", 2)
    assert not found.cut_off


def test_what_is_said_by_key_is_read_as_what_is_said_of_the_answer() -> None:
    by_key = {"mean": "Float", "n": {"type": " INT", "decimals": None, "unit": "rows", "scale": 3.0, "note": "all"}}
    answer = {"type": "Mapping", "scale": 2.0, "by_key": by_key}
    found = read_proposals(said(json_block({"questions": [{**ONE, "answer": answer}]})))
    assert found is not None
    (item,) = found.items
    assert isinstance(item, Proposal)
    own = {"mean": ValueSpec(type="float"), "n": ValueSpec(type="int", unit="rows")}
    assert item.answer == AnswerSpec(type="mapping", by_key=own)
    wrong = read_proposals(said(json_block({"questions": [{**ONE, "answer": {"by_key": {"mean": 3}}}]})))
    assert wrong is not None
    assert isinstance(wrong.items[0], Unreadable)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "I will look first.",
        code_block("print(df)"),
        '```json\n{"a": 1}\n```',
        "```python\nx = {'questions': []}\n```",
    ],
)
def test_what_proposes_nothing_is_no_proposal(reply: str) -> None:
    assert read_proposals(said(reply)) is None


def test_no_more_questions_is_said_by_an_empty_list() -> None:
    found = read_proposals(said(json_block({"questions": []})))
    assert found is not None
    assert (found.items, found.fault) == ((), "")


def test_a_native_call_proposes() -> None:
    call = ToolCall(id="c1", name="propose_questions", arguments=json.dumps({"questions": [ONE]}))
    run = ToolCall(id="c2", name="run_python", arguments="{}")
    found = read_proposals(said("", call, run))
    assert found is not None
    assert (len(found.items), found.call_ids, found.with_code) == (1, ("c1", "c2"), True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"answer": {"type": "number"}}, "answer.type"),
        ({"answer": {"type": "float", "decimals": 99}}, "answer.decimals"),
        ({"difficulty": "impossible"}, "difficulty"),
        ({"steps": 0}, "steps"),
        ({"program": ""}, "program"),
        ({"hint": None}, "hint"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, Any], told: str) -> None:
    found = read_proposals(said(json_block({"questions": [{**ONE, **change}, ONE]})))
    assert found is not None
    bad, good = found.items
    assert isinstance(bad, Unreadable)
    assert told in bad.reason
    assert isinstance(good, Proposal)


@given(st.integers(1, 4), st.data())
def test_cut_anywhere_the_whole_ones_are_read(count: int, data: st.DataObject) -> None:
    items = [{**ONE, "question": f'What is "{number}" {{in}} [all]?'} for number in range(count)]
    text = json.dumps({"questions": items})
    at = data.draw(st.integers(len('{"questions": ['), len(text) - 1))
    found = read_proposals(said("```json\n" + text[:at]))
    assert found is not None
    read = [item.question for item in found.items if isinstance(item, Proposal)]
    whole = [item["question"] for item in items if json.dumps(item) in text[:at]]
    assert read == whole
    assert len(found.items) == len(whole)
    assert bool(found.fault) == (not whole)


@given(st.text() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(json.dumps))
def test_no_reply_breaks_the_reader(text: str) -> None:
    read_proposals(said(text))
    read_proposals(said(f"```json\n{text}\n```"))
    read_wordings(said(f"```json\n{text}\n```"))


def test_wordings_are_read_once_each() -> None:
    assert read_wordings(said(json_block({"wordings": ["a?", " b? ", "a?", 3, ""]}))) == ("a?", "b?")
    assert read_wordings(said(json_block(["a?"]))) == ("a?",)
    assert read_wordings(said('{"wordings": ["a?"]}')) == ("a?",)
    assert read_wordings(said("What about this?")) == ()
