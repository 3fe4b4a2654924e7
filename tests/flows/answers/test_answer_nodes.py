"""Nodes: the identity of a value, its text for people, its label; keys, signatures and the order of values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.answers.answers import parse_answer, parse_reference, render
from flows.answers.matching import matching_size
from flows.answers.nodes import (
    Collection,
    Day,
    Duration,
    Flag,
    Listing,
    Mapping,
    Missing,
    Moment,
    Node,
    Number,
    Opaque,
    Table,
    Text,
    canonical,
    children,
    is_comparable,
    is_nan,
    label_text,
    number_text,
    render_node,
    with_article,
)
from flows.answers.plain import NotPlain, as_json
from flows.answers.signatures import key_text, order, signature
from flows.questions.records import AnswerSpec, ValueSpec
from tests.support.properties import PATIENT

NAN = Number(Decimal("NaN"))
DAY = Day(date(2020, 1, 31))


def at(hour: int = 0, minute: int = 0, second: int = 0, *, nanos: int = 0, offset_s: int | None = None) -> Moment:
    """A time on the last of January 2020."""
    local = datetime(2020, 1, 31, hour, minute, second)  # noqa: DTZ001
    return Moment(local, nanos, offset_s)


def whole(value: int) -> Number:
    return Number(Decimal(value), "int")


def real(text: str) -> Number:
    return Number(Decimal(text))


A, B, ONE, TWO = Text("a"), Text("b"), whole(1), whole(2)
FRAME = Table((A, B), ((ONE, Text("x")), (TWO, Text("y"))))
NO_MODEL = Opaque("<Model\n at 0x7f>", "x.Model")


# Text for people


@pytest.mark.parametrize(
    ("node", "shown"),
    [
        (Missing(), "none"),
        (Flag(True), "true"),
        (Flag(False), "false"),
        (real("1.50"), "1.5"),
        (real("-0.0"), "0"),
        (real("1e20"), "100000000000000000000"),
        (real("1e21"), "1E+21"),
        (real("0.0000001"), "0.0000001"),
        (real("0.00000001"), "1E-8"),
        (NAN, "nan"),
        (real("Infinity"), "inf"),
        (real("-Infinity"), "-inf"),
        (Text('say "é"'), '"say \\"é\\""'),
        (DAY, "2020-01-31"),
        (at(), "2020-01-31 00:00:00"),
        (at(1, 2, 3, nanos=50_000_000), "2020-01-31 01:02:03.05"),
        (at(1, offset_s=0), "2020-01-31 01:00:00+00:00"),
        (at(1, offset_s=19_800), "2020-01-31 01:00:00+05:30"),
        (at(1, offset_s=-19_800), "2020-01-31 01:00:00-05:30"),
        (at(1, offset_s=-37_800), "2020-01-31 01:00:00-10:30"),
        (at(1, offset_s=43_200), "2020-01-31 01:00:00+12:00"),
        (Duration(Decimal("1.50")), "1.5 s"),
        (Listing((ONE, A)), '[1, "a"]'),
        (Collection((B, A)), '{"a", "b"}'),
        (Mapping(((B, ONE), (A, TWO))), '{"b": 1, "a": 2}'),
        (FRAME, '2 × 2 table ["a", "b"], first row [1, "x"]'),
        (Table((A,), ()), '0 × 1 table ["a"]'),
        (NO_MODEL, "<x.Model: <Model at 0x7f>>"),
        (Opaque("gone"), "<value: gone>"),
        (Text("a\ud800"), '"a\\ud800"'),
    ],
)
def test_a_value_is_shown_as_one_short_line(node: Node, shown: str) -> None:
    assert render_node(node) == shown


@pytest.mark.parametrize("limit", [1, 2, 5, 20, 60, 120])
@pytest.mark.parametrize(
    "node",
    [
        Text("x" * 500),
        Opaque("x" * 500, "y"),
        Listing((ONE,) * 500),
        Collection(tuple(map(whole, range(500)))),
        Mapping(tuple((whole(n), TWO) for n in range(500))),
        Table((A,) * 500, ((ONE,) * 500,)),
    ],
    ids=lambda node: node.kind,
)
def test_what_is_cut_says_so_and_uses_its_room(node: Node, limit: int) -> None:
    shown, whole_text = render_node(node, limit), render_node(node, 10_000)
    assert len(shown) == limit
    assert shown.endswith("…")
    assert whole_text.startswith(shown[:-1]) or isinstance(node, Table)


def test_what_just_fits_is_not_cut() -> None:
    for node in (Text("abc"), Listing((A, B)), Mapping(((A, ONE), (B, TWO))), FRAME, NO_MODEL):
        shown = render_node(node)
        assert render_node(node, len(shown)) == shown
        assert render_node(node, len(shown) - 1) == shown[: len(shown) - 2] + "…"
    assert render_node(Text("abc"), 0) == "…"


@PATIENT
@given(st.lists(st.text("ab", max_size=9), max_size=30), st.integers(1, 60))
def test_a_long_value_is_cut_at_its_end_and_nowhere_else(texts: list[str], limit: int) -> None:
    expected = json.dumps(texts)
    if len(expected) > limit:
        expected = expected[: limit - 1] + "…"
    assert render_node(Listing(tuple(map(Text, texts))), limit) == expected


def test_kinds_stand_in_a_sentence() -> None:
    assert [with_article(kind) for kind in ("none", "int", "any", "object", "float", "bool", "string", "date")] == [
        "no value", "an int", "an any", "an object", "a float", "a bool", "a string", "a date",
    ]  # fmt: skip


# Labels and keys


@pytest.mark.parametrize(
    ("node", "label", "key"),
    [
        (Text(" A"), " A", "a"),
        (real("1.0"), "1", "1"),
        (whole(1), "1", "1"),
        (Flag(True), "true", "true"),
        (Flag(False), "false", "false"),
        (DAY, "2020-01-31", "2020-01-31"),
        (at(), "2020-01-31", "2020-01-31"),
        (at(10, 30), "2020-01-31 10:30:00", "2020-01-31T10:30:00.000000000"),
        (at(0, 0, 0, nanos=1), "2020-01-31 00:00:00.000000001", "2020-01-31T00:00:00.000000001"),
        (at(offset_s=0), "2020-01-31", "utc 1580428800.000000000"),
        (Listing((Text("A"), ONE)), None, '["a", "1"]'),
        (Missing(), None, '["none"]'),
    ],
)
def test_labels_and_keys_of_scalars(node: Node, label: str | None, key: str) -> None:
    assert label_text(node) == label
    assert key_text(node, case_sensitive=False) == key


def test_keys_keep_their_case_where_it_counts() -> None:
    assert key_text(Text("A"), case_sensitive=True) == "A"
    assert key_text(Flag(True), case_sensitive=True) == "True"
    assert key_text(Listing((Text("A"),)), case_sensitive=True) == '["A"]'


# Identity


DIFFERENT: list[Node] = [
    Missing(), Flag(True), Flag(False), ONE, real("1"), real("1.5"), TWO, NAN, real("Infinity"), real("-Infinity"),
    Text("1"), Text("a"), Text("A"), DAY, at(), at(nanos=1), at(offset_s=0), at(offset_s=60), Duration(Decimal(1)),
    Listing(()), Listing((ONE,)), Listing((ONE, TWO)), Listing((TWO, ONE)), Listing((Listing((ONE,)),)),
    Collection(()), Collection((ONE,)), Collection((ONE, TWO)), Mapping(()), Mapping(((A, ONE),)), Mapping(((A, TWO),)),
    Mapping(((B, ONE),)), Mapping(((A, ONE), (A, ONE))), FRAME, Table((A, B), ()), Table((B, A), FRAME.rows),
    Table((A, B), FRAME.rows[::-1]), Table((A, B), FRAME.rows, (A, B)), Table((A, B), FRAME.rows, (B, A)),
    NO_MODEL, Opaque("<Model\n at 0x7f>", "y.Model"), Opaque("other", "x.Model"),
]  # fmt: skip


def test_different_values_have_different_identities() -> None:
    for one, other in itertools.combinations(DIFFERENT, 2):
        assert canonical(one) != canonical(other)


def test_pairs_of_any_kind_have_an_order() -> None:
    values: list[Node] = [
        FRAME,
        Table((A, B), FRAME.rows, (A, B)),
        ONE,
        Missing(),
        Flag(True),
        Collection(()),
        Listing(()),
    ]
    pairs = tuple((A, value) for value in values)
    assert canonical(Mapping(pairs)) == canonical(Mapping(pairs[::-1]))


def test_an_identity_is_json_that_any_file_can_hold() -> None:
    for node in [*DIFFERENT, Text("\ud800é")]:
        form = json.loads(canonical(node).encode("ascii"))
        assert form[0] == node.kind


def test_order_and_repeats_are_no_part_of_a_set_nor_order_of_a_mapping() -> None:
    assert canonical(Collection((ONE, TWO, ONE))) == canonical(Collection((TWO, ONE)))
    assert canonical(Mapping(((A, ONE), (B, TWO)))) == canonical(Mapping(((B, TWO), (A, ONE))))
    assert canonical(real("1.50")) == canonical(real("1.5"))


@PATIENT
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_the_text_of_a_number_is_the_number(value: Decimal) -> None:
    text = number_text(value)
    assert Decimal(text) == value
    assert number_text(Decimal(text + ("0" if "." in text and "E" not in text else ""))) == text


def test_children_are_everything_inside() -> None:
    assert children(Listing((ONE, A))) == (ONE, A)
    assert children(Collection((ONE,))) == (ONE,)
    assert children(Mapping(((A, ONE), (B, TWO)))) == (A, ONE, B, TWO)
    assert children(Table((A,), ((ONE,), (TWO,)), (B, B))) == (A, B, B, ONE, TWO)
    assert children(Text("ab")) == ()


@pytest.mark.parametrize(
    "node",
    [
        NO_MODEL,
        Listing((ONE, Listing((NO_MODEL,)))),
        Collection((NO_MODEL,)),
        Mapping(((A, NO_MODEL),)),
        Mapping(((NO_MODEL, A),)),
        Table((NO_MODEL,), ()),
        Table((A,), ((NO_MODEL,),)),
        Table((A,), ((ONE,),), (NO_MODEL,)),
    ],
)
def test_an_object_anywhere_inside_makes_a_value_incomparable(node: Node) -> None:
    assert not is_comparable(node)


def test_only_the_float_nan_is_nan() -> None:
    assert is_nan(NAN)
    others: list[Node] = [ONE, real("Infinity"), Text("nan"), Missing()]
    assert not any(map(is_nan, others))


# Signatures and order: what could match has one signature, and near values stand next to each other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ONE, real("2.5")),
        (NAN, Missing()),
        (Text(" A"), Text("a")),
        (DAY, at()),
        (Duration(Decimal(1)), Duration(Decimal(2))),
        (Listing((ONE, Text("A"))), Listing((TWO, Text("a")))),
        (Collection((A, ONE)), Collection((TWO, Text("A")))),
        (Mapping(((A, ONE), (B, TWO))), Mapping(((Text("B"), ONE), (Text("A"), ONE)))),
        (Mapping(((Text("1"), ONE),)), Mapping(((real("1.0"), TWO),))),
        (FRAME, Table((B, A), ((Text("x"), ONE), (Text("y"), TWO)))),
    ],
)
def test_values_that_could_match_share_their_signature(one: Node, other: Node) -> None:
    assert signature(one, case_sensitive=False) == signature(other, case_sensitive=False)


def test_values_that_cannot_match_have_signatures_of_their_own() -> None:
    nodes: list[Node] = [
        ONE, A, B, Flag(True), Flag(False), DAY, at(1), Duration(Decimal(1)), Listing((A,)), Listing((A, A)),
        Listing((A, B)), Listing((B, A)), Collection((A,)), Collection((A, B)), Mapping(((A, A),)), Mapping(((A, B),)),
        Mapping(((B, B),)), FRAME, Table((A, B), ()), Table((A,), ((ONE,), (TWO,))), NO_MODEL, Text("d"), Text("#"),
    ]  # fmt: skip
    for one, other in itertools.combinations(nodes, 2):
        assert signature(one, case_sensitive=False) != signature(other, case_sensitive=False), (one, other)
    wraps: list[Callable[[Node], Node]] = [
        lambda node: node,
        lambda node: Listing((node,)),
        lambda node: Collection((node,)),
        lambda node: Mapping(((A, node),)),
        lambda node: Mapping(((node, ONE),)),
    ]
    for wrap in wraps:
        one, other = wrap(Text("A")), wrap(Text("a"))
        assert signature(one, case_sensitive=True) != signature(other, case_sensitive=True)
        assert signature(one, case_sensitive=False) == signature(other, case_sensitive=False)


def placed(nodes: list[Node], decimals: int | None = None) -> list[Node]:
    return sorted(nodes, key=lambda node: order(node, [ValueSpec(decimals=decimals)], case_sensitive=False))


def test_values_stand_in_the_order_of_their_numbers() -> None:
    rows: list[Node] = [Listing((real(text), ONE)) for text in ("10", "-3", "2", "Infinity", "NaN")]
    assert [render_node(row) for row in placed(rows)] == ["[nan, 1]", "[-3, 1]", "[2, 1]", "[10, 1]", "[inf, 1]"]
    spans: list[Node] = [Duration(Decimal(text)) for text in ("10", "9")]
    assert placed(spans) == spans[::-1]
    blank: list[Node] = [Listing((ONE,)), Listing((Missing(),))]
    assert placed(blank) == blank[::-1]


def test_values_that_cannot_match_stand_apart_before_any_number_counts() -> None:
    rows: list[Node] = [Listing((B, ONE)), Listing((A, TWO))]
    assert placed(rows) == rows[::-1]
    mixed: list[Node] = [Listing((Text("a"), ONE)), Listing((Text("B"), ONE))]
    for case, first in ((False, 0), (True, 1)):
        found = sorted(mixed, key=lambda node, case=case: order(node, [ValueSpec()], case_sensitive=case))  # type: ignore[misc]
        assert found[0] is mixed[first]


def test_the_numbers_of_a_mapping_stand_in_the_order_of_its_keys() -> None:
    low, high = Mapping(((A, whole(5)), (B, ONE))), Mapping(((A, whole(6)), (B, whole(0))))
    assert placed([high, low]) == [low, high]
    assert placed([Listing((high,)), Listing((low,))]) == [Listing((low,)), Listing((high,))]
    # With case, "B" comes before "a".
    big: list[Node] = [
        Mapping(((Text("a"), ONE), (Text("B"), TWO))), Mapping(((Text("a"), TWO), (Text("B"), ONE)))
    ]  # fmt: skip
    for wrap in (lambda node: node, lambda node: Listing((node,))):
        nodes = [wrap(node) for node in big]
        assert sorted(nodes, key=lambda node: order(node, [ValueSpec()], case_sensitive=False)) == nodes
        assert sorted(nodes, key=lambda node: order(node, [ValueSpec()], case_sensitive=True)) == nodes[::-1]


def test_noise_in_an_earlier_number_does_not_decide_the_order() -> None:
    noisy: list[Node] = [Listing((real("0.1000000000001"), ONE)), Listing((real("0.1"), TWO))]
    assert placed(noisy) == noisy
    assert placed(noisy[::-1]) == noisy
    # Rounded to the decimals asked for, more is noise than that.
    rough: list[Node] = [Listing((real("0.126"), ONE)), Listing((real("0.131"), TWO))]
    assert placed(rough, 2) == rough
    assert placed([Listing((real("0.129"), TWO)), rough[0]], 2) == [rough[0], Listing((real("0.129"), TWO))]


def test_the_order_of_compounds_is_that_of_their_parts_whatever_their_own_order() -> None:
    low, high = Mapping(((A, ONE), (B, TWO))), Mapping(((B, whole(5)), (A, ONE)))
    assert placed([high, low]) == [low, high]
    few, many = Collection((whole(9), ONE)), Collection((TWO, whole(8)))
    assert placed([many, few]) == [few, many]


# Matching


def test_chains_of_re_pairings_are_found() -> None:
    # Each of a chain would have to move on for the last one to find a place.
    for size in (2, 3, 6):
        chain = [[0], *([place - 1, place] for place in range(1, size))]
        for edges in itertools.islice(itertools.permutations(chain), 200):
            assert matching_size(edges, size) == size
    assert matching_size([[0, 1], [0], [0, 1]], 2) == 2
    assert matching_size([], 3) == 0
    assert matching_size([[], []], 2) == 0
    # Two that want what a third one holds, and only one can have it.
    assert matching_size([[0], [0], [0, 1, 2]], 3) == 2


# Answers


def test_why_a_value_is_no_answer_is_told_with_the_value_and_both_kinds() -> None:
    spec = AnswerSpec(type="int")
    assert parse_reference("many", spec).problem == 'The question asks for an int and "many" is a string.'
    assert parse_reference(None, spec).problem == "The answer is empty (None)."
    gone = parse_answer({"t": "other", "v": "<Model>", "type": "x.Model"}, spec)
    assert "<x.Model: <Model>>" in gone.problem
    inside = parse_answer({"t": "list", "v": [ONE_TAGGED, {"t": "other", "v": "<Model>", "type": "x"}]}, AnswerSpec())
    assert "object" in inside.problem
    assert len(parse_reference("x" * 500, spec).problem) < 150


ONE_TAGGED: dict[str, Any] = {"t": "int", "v": 1}


@pytest.mark.parametrize(
    "kind", ["bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table"]
)
def test_each_type_takes_its_own_kinds_of_value_and_no_other(kind: str) -> None:
    fit: dict[str, list[Any]] = {
        "bool": [True],
        "int": [3, 3.0],
        "float": [3, 3.5],
        "percent": [3, 3.5],
        "date": ["2020-01-31", "2020-01-31 10:00"],
        "string": ["word", 3, 3.5, True],
        "list": [["a", "b"]],
        "set": [["a", "b"]],
        "mapping": [{"a": "b"}],
        "table": [[{"a": "b"}]],
    }
    spec = AnswerSpec.model_validate({"type": kind})
    for value in fit[kind]:
        assert parse_reference(value, spec).usable, value
    for other in ("word", ["a", "b"], {"a": "b", "c": "d"}):
        if not any(type(other) is type(value) for value in fit[kind]) and kind != "table":
            assert not parse_reference(other, spec).usable, other


def test_any_type_takes_every_kind_but_nothing() -> None:
    for node in (Flag(True), ONE, real("1.5"), A, DAY, at(), Duration(Decimal(1)), Listing(()), Collection(()), FRAME):
        raw = {"bool": {"t": "bool", "v": True}, "int": ONE_TAGGED, "float": {"t": "float", "v": 1.5},
               "string": {"t": "str", "v": "a"}, "date": {"t": "date", "v": "2020-01-31"},
               "datetime": {"t": "datetime", "v": "2020-01-31T00:00:00"}, "duration": {"t": "timedelta", "v": 1},
               "list": {"t": "list", "v": []}, "set": {"t": "set", "v": []},
               "table": {"t": "table", "columns": [], "rows": []}}[node.kind]  # fmt: skip
        answer = parse_answer(raw, AnswerSpec())
        assert (answer.kind, answer.usable) == (node.kind, True)
    assert not parse_reference(None, AnswerSpec()).usable


def test_an_answer_is_shown_within_its_limit() -> None:
    answer = parse_reference("x" * 500, AnswerSpec())
    assert len(render(answer)) == 120
    assert len(render(answer, 40)) == 40


# Written down as JSON


@pytest.mark.parametrize(
    ("raw", "fact"),
    [
        ({"t": "float", "v": "nan"}, "nan"),
        ({"t": "list", "v": [{"t": "float", "v": "-inf"}]}, "-inf"),
        ({"t": "timedelta", "v": 90}, "90 s"),
        ({"t": "map", "v": [[ONE_TAGGED, ONE_TAGGED], [{"t": "str", "v": "1"}, ONE_TAGGED]]}, "keys"),
        ({"t": "map", "v": [[{"t": "list", "v": []}, ONE_TAGGED]]}, "keys"),
        ({"t": "table", "columns": [ONE_TAGGED, ONE_TAGGED], "rows": [[ONE_TAGGED] * 2]}, "keys"),
        ({"t": "table", "columns": [ONE_TAGGED], "rows": [[ONE_TAGGED]], "index": [ONE_TAGGED]}, "rows are labelled"),
        ({"t": "set", "v": [ONE_TAGGED]}, "another answer"),
        ({"t": "date", "v": "2020-01-31"}, '"2020-01-31"'),
    ],
)
def test_why_json_cannot_hold_an_answer_is_told(raw: dict[str, Any], fact: str) -> None:
    spec = AnswerSpec()
    with pytest.raises(NotPlain, match=r".+") as caught:
        as_json(parse_answer(raw, spec), spec)
    assert fact in str(caught.value)


def test_what_json_cannot_hold_is_told_in_a_few_words() -> None:
    gone = parse_answer({"t": "other", "v": "x" * 500, "type": "x.Model"}, AnswerSpec())
    with pytest.raises(NotPlain, match="Model") as caught:
        as_json(gone, AnswerSpec())
    assert len(str(caught.value)) < 90


def test_a_number_with_more_digits_than_a_float_is_not_written_down_as_another_one() -> None:
    spec = AnswerSpec(type="float")
    with pytest.raises(NotPlain, match="another answer"):
        as_json(parse_answer({"t": "decimal", "v": "0.12345678901234567890"}, spec), spec)


@pytest.mark.parametrize(
    ("raw", "spec", "data"),
    [
        ({"t": "int", "v": 7}, AnswerSpec(), 7),
        ({"t": "float", "v": 7.0}, AnswerSpec(type="float"), 7.0),
        ({"t": "list", "v": [{"t": "none"}, {"t": "bool", "v": False}]}, AnswerSpec(type="list"), [None, False]),
        ({"t": "datetime", "v": "2020-01-31T10:00:00"}, AnswerSpec(type="date"), "2020-01-31 10:00:00"),
        ({"t": "map", "v": [[{"t": "bool", "v": True}, ONE_TAGGED]]}, AnswerSpec(type="mapping"), {"true": 1}),
        ({"t": "table", "columns": [{"t": "str", "v": "a"}], "rows": []}, AnswerSpec(type="table", columns=("a",)), []),
    ],
)
def test_json_of_an_answer_keeps_its_types(raw: dict[str, Any], spec: AnswerSpec, data: Any) -> None:
    found = as_json(parse_answer(raw, spec), spec)
    assert found == data
    assert type(found) is type(data)


def test_an_instant_in_utc_is_written_with_its_offset() -> None:
    raw = {"t": "datetime", "v": datetime(2020, 1, 31, 10, tzinfo=UTC).isoformat()}
    assert as_json(parse_answer(raw, AnswerSpec(type="date")), AnswerSpec(type="date")) == "2020-01-31 10:00:00+00:00"
