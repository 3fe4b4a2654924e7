"""Clusters: complete link, as large as can be, and the same for every order of arrival."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.answers.answers import Answer, parse_reference
from flows.questions.records import AnswerSpec
from flows.verification.clustering import MAX_ANSWERS, MatchGraph
from tests.support.properties import PATIENT

FLOAT = AnswerSpec(type="float")
STEP = 0.6e-6
"""Values this far apart (relative) match their neighbours and nobody further away: a chain."""


def graph(values: list[float], spec: AnswerSpec = FLOAT) -> MatchGraph:
    return MatchGraph([parse_reference(value, spec) for value in values], spec)


def chained(places: list[int]) -> list[float]:
    return [1 + place * STEP for place in places]


def contents(values: list[float], found: MatchGraph) -> list[tuple[list[float], float, str]]:
    """The clusters as values, without the positions they came from."""
    return [
        (sorted(values[place] for place in cluster.members), values[cluster.representative], cluster.tier)
        for cluster in found.clusters(range(len(values)))
    ]


chains = st.lists(st.integers(0, 6), max_size=7).map(chained)


def test_a_chain_is_not_one_cluster() -> None:
    # Compared with the first member only, the size of the largest cluster depended on which answer came first.
    values = chained([0, 1, 2, 3])
    sizes = {
        tuple(len(members) for members, _, _ in contents(list(order), graph(list(order))))
        for order in itertools.permutations(values)
    }
    assert sizes == {(2, 2)}


@PATIENT
@given(chains, st.randoms(use_true_random=False))
def test_clusters_do_not_depend_on_the_order_of_arrival(values: list[float], shuffle: random.Random) -> None:
    mixed = shuffle.sample(values, len(values))
    assert contents(values, graph(values)) == contents(mixed, graph(mixed))


@PATIENT
@given(chains)
def test_clusters_are_complete_link_and_leave_nobody_out(values: list[float]) -> None:
    found = graph(values)
    clusters = found.clusters(range(len(values)))
    assert sorted(place for cluster in clusters for place in cluster.members) == list(range(len(values)))
    for cluster in clusters:
        assert all(found.match(a, b) for a, b in itertools.combinations(cluster.members, 2))
        assert cluster.representative in cluster.members
    sizes = [len(cluster.members) for cluster in clusters]
    assert sizes == sorted(sizes, reverse=True)


@PATIENT
@given(chains, st.sets(st.integers(0, 6)), st.integers(0, 6))
def test_the_largest_clique_is_the_largest(values: list[float], among: set[int], around: int) -> None:
    found = graph(values)
    places = {place for place in among if place < len(values)}
    near = {place for place in places if around < len(values) and found.match(place, around)}
    assert len(found.largest(places)) == _by_trying(found, places)
    if around < len(values):
        assert len(found.largest(places, around=around)) == _by_trying(found, near)


def _by_trying(found: MatchGraph, places: set[int]) -> int:
    return max(
        len(group)
        for size in range(len(places) + 1)
        for group in itertools.combinations(sorted(places), size)
        if all(found.match(a, b) for a, b in itertools.combinations(group, 2))
    )


def test_among_equally_large_clusters_the_closest_comes_first() -> None:
    values = [*chained([0, 1]), 7.0, 7.0]
    for order in itertools.permutations(values):
        assert contents(list(order), graph(list(order)))[0] == ([7.0, 7.0], 7.0, "exact")


def test_the_tier_of_a_cluster_is_its_loosest_match() -> None:
    found = graph([1.0, 1.0, 1 + STEP])
    assert [cluster.tier for cluster in found.clusters(range(3))] == ["tolerance"]
    assert found.cluster([0, 1]).tier == "exact"
    assert found.cluster([2]).tier == "exact"


def test_answers_that_cannot_be_compared_stand_alone() -> None:
    thing: Answer = parse_reference(object(), AnswerSpec())
    assert [c.members for c in MatchGraph([thing, thing], AnswerSpec()).clusters(range(2))] == [(0,), (1,)]


def test_the_number_of_answers_is_bounded() -> None:
    assert len(graph([1.0] * MAX_ANSWERS).largest(range(MAX_ANSWERS))) == MAX_ANSWERS
    with pytest.raises(ValueError, match="cannot be clustered"):
        graph([1.0] * (MAX_ANSWERS + 1))


def test_no_answers_have_no_clusters() -> None:
    assert graph([]).clusters([]) == ()
    assert graph([1.0]).largest([0], around=0) == ()
