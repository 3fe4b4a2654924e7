"""The space of programs: every number is a well-typed program, no two the same, and the written form is one."""

from __future__ import annotations

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.questions.programs.enumeration import CATALOGUE, MAX_SIZE, Space
from flows.questions.programs.grammar import Node, Sort, canonical, is_well_typed
from flows.questions.programs.proposing import difficulty_of, points
from flows.questions.programs.sense import makes_sense
from tests.flows.questions.programs.test_program_proposals import rich_table
from tests.support.programs import program_of, scene_of, small_table, tree


@cache
def space() -> Space:
    return Space(scene_of(rich_table()))


@st.composite
def shapes(draw: st.DrawFn) -> Node:
    root = draw(st.sampled_from(space().roots()))
    size = draw(st.sampled_from([size for size in range(1, MAX_SIZE + 1) if space().count(root, size)]))
    return space().shape(root, size, draw(st.integers(0, space().count(root, size) - 1)))


def bound(node: Node, random: Random) -> Node:
    inputs = tuple(bound(each, random) for each in node.inputs)
    return Node(node.operator, inputs, random.choice(space().bindings[node.operator.name]))


@settings(deadline=None, max_examples=80)
@given(shapes())
def test_every_number_is_a_well_typed_program_of_its_size(shape: Node) -> None:
    assert is_well_typed(shape)
    assert shape.operator.gives is Sort.ANSWER
    assert len(list(shape.walk())) <= MAX_SIZE


@settings(deadline=None, max_examples=60)
@given(shapes(), st.integers(0, 2**32))
def test_the_canonical_form_is_a_fixed_point_and_keeps_the_operators(shape: Node, seed: int) -> None:
    node = bound(shape, Random(seed))
    written = canonical(node)
    assert canonical(written) == written
    assert canonical(written).key == written.key
    assert is_well_typed(written)
    # The same filter twice says no more than once.
    assert {each.operator.name for each in written.walk()} == {each.operator.name for each in node.walk()}


def test_filters_that_commute_are_written_in_one_order() -> None:
    rows = tree("all_rows")
    one = tree("rows_above", tree("rows_equal", rows, col="g", value="a"), col="x", value=2)
    other = tree("rows_equal", tree("rows_above", rows, col="x", value=2), col="g", value="a")
    assert one != other
    assert canonical(tree("row_count", one)) == canonical(tree("row_count", other))


def test_a_filter_that_looks_at_the_others_keeps_its_place() -> None:
    rows = tree("all_rows")
    first = tree("rows_above_mean", tree("rows_equal", rows, col="g", value="a"), tree("column", col="x"))
    last = tree("rows_equal", tree("rows_above_mean", rows, tree("column", col="x")), col="g", value="a")
    assert canonical(tree("row_count", first)) != canonical(tree("row_count", last))


def test_numbers_name_different_programs_and_none_is_missing() -> None:
    root = next(operator for operator in space().roots() if operator.name == "summary")
    keys = {space().shape(root, 4, index).key for index in range(space().count(root, 4))}
    assert len(keys) == space().count(root, 4) > 100
    with pytest.raises(IndexError):
        space().shape(root, 4, len(keys))
    assert space().count(root, 3) == 0


def test_the_catalogue_is_as_large_as_promised() -> None:
    assert len(CATALOGUE) >= 55
    assert {operator.gives for operator in CATALOGUE} == set(Sort)
    assert all(
        operator.asks and operator.step and operator.form for operator in CATALOGUE if operator.gives is Sort.ANSWER
    )
    assert {operator.name for operator in CATALOGUE} == set(space().bindings)


def test_equal_parts_become_one_variable() -> None:
    means = tree("group_statistic", tree("all_rows"), tree("column", col="e"), tree("category", col="g"), tree("mean"))
    code = program_of(tree("spread_of_groups", means), small_table()).code
    assert code.count("groupby") == code.count("dropna") == 1


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("the column filtered on", tree("summary", tree("rows_above", tree("all_rows"), col="score", value=0.0),
                                        tree("column", col="score"), tree("mean"))),
        ("a sum of signed numbers", tree("summary", tree("all_rows"), tree("column", col="score"), tree("sum"))),
        ("the mean of z-scores", tree("summary", tree("all_rows"), tree("z_score", col="score"), tree("mean"))),
        ("no rows left out", tree("row_count", tree("all_rows"))),
        ("quarters that are equal by construction", tree("largest_group", tree("group_size", tree("all_rows"),
                                                                               tree("quarter", col="score")))),
        ("the second of two", tree("second_group", tree("group_size", tree("all_rows"), tree("binary", col="paid")))),
        ("a change of a change", tree("largest_group", tree("change", tree("change", tree(
            "period_size", tree("all_rows"), tree("year", col_date="day")))))),
        ("a percentage of what may be below zero", tree("largest_group", tree("relative_change", tree(
            "period_statistic", tree("all_rows"), tree("column", col="score"), tree("year", col_date="day"),
            tree("mean"))))),
        ("a slope over names of months", tree("trend", tree("period_size", tree("all_rows"),
                                                            tree("calendar_quarter", col_date="day")))),
        ("months with hardly a row", tree("largest_group", tree("period_size", tree("all_rows"),
                                                                tree("calendar_month", col_date="day")))),
        ("a line through itself", tree("slope", tree("line", tree("all_rows"), tree("column", col="score"),
                                                     tree("column", col="score")))),
    ],
)  # fmt: skip
def test_nonsense_is_not_asked(name: str, root: Node) -> None:
    assert is_well_typed(root), name
    assert not makes_sense(root, space().scene), name


def test_difficulty_grows_with_what_a_program_does() -> None:
    plain = tree("summary", tree("all_rows"), tree("column", col="x"), tree("mean"))
    deep = tree(
        "shift_from_all",
        tree(
            "rows_of_highest_group", tree("all_rows"), tree("column", col="x"), tree("category", col="g"), tree("mean")
        ),
        tree("ratio", col="y", col_other="m"),
        tree("iqr"),
    )
    assert (difficulty_of(plain), difficulty_of(deep)) == ("easy", "very_hard")
    assert points(plain) == 1
