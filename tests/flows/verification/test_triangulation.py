"""Triangulation: the quorum, every verdict, and an early end that never changes one, with a gold trace and without."""

from __future__ import annotations

import itertools
import random
import re
from functools import cache
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flows.answers.answers import Answer, parse_answer, parse_reference
from flows.answers.nodes import Opaque
from flows.questions.records import AnswerSpec, Difficulty
from flows.verification.judging import judge_reference
from flows.verification.triangulation import (
    Tally,
    Triangulation,
    TriangulationRule,
    early_verdict,
    full_verdict,
    quorum,
)
from flows.verification.verdicts import Ballot, Outcome, Verdict, VerdictName
from sandbox_image.zygote.values import to_tagged
from tests.support.properties import PATIENT

FLOAT = AnswerSpec(type="float")
GOLD = 1.0
STEP = 0.6e-6


def says(value: object, spec: AnswerSpec = FLOAT) -> Ballot:
    return Ballot.of(parse_reference(value, spec))


def ends(outcome: Outcome) -> Ballot:
    return Ballot(outcome, detail=f"it was {outcome}")


def vote(planned: int, gold: Ballot | float | None = GOLD, spec: AnswerSpec = FLOAT, **rule: Any) -> Triangulation:
    """The vote after the gold trace; a gold of None is a vote among equal traces, which has none."""
    if gold is None:
        return Triangulation(spec, planned, TriangulationRule(**rule), hinted=False)
    ballot = gold if isinstance(gold, Ballot) else says(gold)
    return Triangulation(spec, planned, TriangulationRule(**rule)).with_gold(ballot)


def full(planned: int, ballots: list[Ballot], gold: Ballot | float | None = GOLD) -> Verdict:
    """The verdict after every planned trace was run, whether it was needed or not."""
    state = vote(planned, gold).with_launched(planned)
    for index, ballot in enumerate(ballots):
        state = state.with_ballot(index, ballot)
    verdict = state.decided()
    assert verdict is not None
    return verdict


# The quorum


@pytest.mark.parametrize(("planned", "needed"), [(2, 2), (3, 2), (4, 3), (5, 4), (6, 4), (7, 5), (9, 6), (16, 11)])
def test_the_quorum_is_two_thirds_and_at_least_two(planned: int, needed: int) -> None:
    assert quorum(planned, hinted=True) == needed
    # The trace that stands in place of the gold one must agree as that one would have to.
    assert quorum(planned + 1, hinted=False) == needed + 1


@PATIENT
@given(st.integers(2, 16), st.booleans())
def test_two_answers_never_both_have_a_quorum(planned: int, hinted: bool) -> None:
    planned += not hinted
    assert 2 * quorum(planned, hinted=hinted) > planned
    assert 3 * quorum(planned, hinted=hinted) >= 2 * planned


def test_the_traces_planned_follow_the_difficulty() -> None:
    planned = {level: Triangulation.plan(FLOAT, level).planned for level in get_args(Difficulty)}
    assert planned == {"easy": 3, "medium": 3, "hard": 5, "very_hard": 6}
    assert Triangulation.plan(FLOAT, "hard", TriangulationRule(hard=7)).planned == 7
    equal = {level: Triangulation.plan(FLOAT, level, hinted=False) for level in get_args(Difficulty)}
    assert {level: (state.need, state.planned) for level, state in equal.items()} == {
        "easy": (3, 4), "medium": (3, 4), "hard": (5, 6), "very_hard": (5, 7),
    }  # fmt: skip
    with pytest.raises(ValueError, match="3 to 17"):
        Triangulation(FLOAT, 2, hinted=False)
    assert Triangulation(FLOAT, 17, hinted=False).need == 12
    for wrong in (0, 1, 17):
        with pytest.raises(ValidationError):
            TriangulationRule(easy=wrong)
        with pytest.raises(ValueError, match="2 to 16"):
            Triangulation(FLOAT, wrong)


# Every verdict, by name

NAMED: list[tuple[list[object], VerdictName]] = [
    (["g", "g", "x"], "verified"),
    (["g", "g", "n"], "verified"),
    # A plurality is no quorum: of two different answers neither was confirmed.
    (["g", "a", "b"], "ambiguous"),
    (["a", "b", "c"], "ambiguous"),
    (["g", "g", "a", "a", "b"], "ambiguous"),
    (["g", "g", "g", "a", "n"], "ambiguous"),
    (["a", "a", "g"], "hint_misleading"),
    (["a", "a", "a", "a", "g"], "hint_misleading"),
    # One surviving answer is no vote, even if it equals the gold one.
    (["g", "n", "n"], "too_hard"),
    (["n", "n", "n"], "too_hard"),
    (["g", "g", "g", "n", "n"], "too_hard"),
    (["g", "n", "f"], "too_hard"),
    (["g", "f", "f"], "execution_failed"),
    (["f", "f", "n"], "execution_failed"),
    # Cut off, with a quorum still in reach …
    (["g", "x", "n"], "budget"),
    (["x", "x", "x"], "budget"),
    (["a", "x", "g"], "budget"),
    (["g", "g", "g", "x", "x"], "budget"),
    # … and with none: what was cut off explains nothing.
    (["x", "n", "n"], "too_hard"),
    (["x", "f", "f"], "execution_failed"),
    (["a", "b", "c", "d", "x"], "ambiguous"),
]


@cache
def ballot_of(symbol: object) -> Ballot:
    outcomes: dict[object, Outcome] = {"n": "no_answer", "f": "failed", "x": "budget"}
    if symbol in outcomes:
        return ends(outcomes[symbol])
    return says(GOLD if symbol == "g" else 10.0 + ord(str(symbol)))


@pytest.mark.parametrize(("symbols", "name"), NAMED)
def test_each_verdict_for_every_order_of_the_traces(symbols: list[object], name: VerdictName) -> None:
    for order in set(itertools.permutations(symbols)):
        assert full(len(symbols), [ballot_of(symbol) for symbol in order]).verdict == name


def test_an_error_is_a_cut_off_like_the_budget() -> None:
    assert full(3, [says(GOLD), ends("error"), ends("no_answer")]).verdict == "budget"


@pytest.mark.parametrize(
    ("outcome", "name"),
    [("failed", "execution_failed"), ("no_answer", "too_hard"), ("budget", "budget"), ("error", "budget")],
)
def test_without_a_gold_answer_no_trace_is_launched(outcome: Outcome, name: VerdictName) -> None:
    state = vote(5, ends(outcome))
    verdict = state.decided()
    assert verdict is not None
    assert (verdict.verdict, verdict.traces_saved, state.next_wave()) == (name, 5, 0)
    assert f"it was {outcome}" in verdict.explanation


# Equal traces, where a question has no hint: symbol by symbol as above, where "g" is one answer like any other

EQUAL: list[tuple[list[object], VerdictName]] = [
    (["g", "g", "g", "x"], "verified"),
    (["g", "g", "g", "a"], "verified"),
    # One unlucky trace, whichever it was, no longer ends it.
    (["n", "a", "a", "a"], "verified"),
    (["f", "a", "a", "a"], "verified"),
    (["a", "a", "b", "b"], "ambiguous"),
    (["a", "a", "b", "n"], "ambiguous"),
    (["a", "a", "n", "n"], "too_hard"),
    (["a", "a", "f", "f"], "execution_failed"),
    (["n", "n", "n", "n"], "too_hard"),
    (["f", "f", "f", "f"], "execution_failed"),
    (["a", "a", "x", "n"], "budget"),
    (["x", "x", "x", "x"], "budget"),
    (["a", "x", "n", "n"], "too_hard"),
    (["a", "a", "a", "a", "a", "b"], "verified"),
    (["a", "a", "a", "a", "b", "b"], "ambiguous"),
    (["a", "a", "a", "a", "a", "b", "n"], "verified"),
    (["a", "a", "a", "a", "b", "b", "b"], "ambiguous"),
]


@pytest.mark.parametrize(("symbols", "name"), EQUAL)
def test_each_verdict_among_equal_traces_for_every_order(symbols: list[object], name: VerdictName) -> None:
    for order in set(itertools.permutations(symbols)):
        verdict = full(len(symbols), [ballot_of(symbol) for symbol in order], gold=None)
        assert verdict.verdict == name
        assert verdict.gold is None
        assert not any(cluster.has_gold for cluster in verdict.clusters)
        assert not {"gold", "hint"} & set(re.findall("[a-z]+", verdict.explanation.lower()))


def test_equal_traces_have_no_gold_one() -> None:
    state = Triangulation.plan(FLOAT, "easy", hinted=False)
    assert (state.decided(), state.next_wave()) == (None, 3)
    with pytest.raises(ValueError, match="no gold trace"):
        state.with_gold(says(GOLD))
    cut = state.cut_off("the provider is down", outcome="error")
    assert (cut.verdict, cut.votes.cut_off, cut.votes.planned) == ("budget", 4, 4)
    assert "gold" not in cut.explanation


@pytest.mark.parametrize("planned", [3, 4, 5, 6])
def test_equal_traces_verify_where_some_choice_of_a_gold_one_would_have_been_verified(planned: int) -> None:
    """The same evidence: the old vote, held with each trace in turn as the gold one."""
    for symbols in itertools.combinations_with_replacement(["a", "b", "n", "f"], planned):
        ballots = [ballot_of(symbol) for symbol in symbols]
        as_gold = {
            full(planned - 1, [*ballots[:at], *ballots[at + 1 :]], gold=ballot).verdict
            for at, ballot in enumerate(ballots)
        }
        assert full(planned, ballots, gold=None).verified == ("verified" in as_gold), symbols


def test_nothing_is_launched_or_decided_before_the_gold_trace_has_ended() -> None:
    state = Triangulation.plan(FLOAT, "easy")
    assert (state.decided(), state.next_wave()) == (None, 0)


@pytest.mark.parametrize("value", [None, object(), "unknown", [1.0, 2.0], True])
def test_answers_that_cannot_be_answers_never_make_a_quorum(value: object) -> None:
    # submit(print(x)) submits None: traces that all do so agree on nothing.
    ballot = Ballot.of(parse_answer(to_tagged(value, 10_000), FLOAT))
    assert ballot.outcome == "no_answer"
    assert ballot.detail
    verdict = full(3, [ballot] * 3)
    assert verdict.verdict == "too_hard"
    assert full(3, [says(GOLD)] * 3, gold=ballot).verdict == "too_hard"


def test_a_ballot_has_an_answer_exactly_when_it_answered() -> None:
    with pytest.raises(ValueError, match="exactly when"):
        Ballot("answered")
    with pytest.raises(ValueError, match="exactly when"):
        Ballot("failed", parse_reference(1.0, FLOAT))


# The verdict's record


def test_a_verdict_tells_its_votes_and_clusters() -> None:
    verdict = full(6, [says(v) for v in (GOLD, GOLD, 1 + STEP, 1 + STEP, 7.0)] + [ends("failed")])
    assert verdict.verdict == "verified"
    assert verdict.votes.model_dump() == {
        "agree": 4,
        "answered": 5,
        "no_answer": 0,
        "failed": 1,
        "cut_off": 0,
        "launched": 6,
        "planned": 6,
    }
    assert [(c.members, c.has_gold, c.answer, c.tier) for c in verdict.clusters] == [
        ((0, 1, 2, 3), True, "1", "tolerance"),
        ((4,), False, "7", "exact"),
    ]
    assert (verdict.tier, verdict.quorum, verdict.gold, verdict.verified) == ("tolerance", 4, "1", True)
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_members_are_the_indices_of_the_traces_and_not_of_the_answers() -> None:
    verdict = full(5, [ends("failed"), says(7.0), ends("no_answer"), says(7.0), says(GOLD)])
    assert [cluster.members for cluster in verdict.clusters] == [(1, 3), (4,)]


def test_a_match_with_gold_must_be_complete() -> None:
    # Each neighbour in the chain matches the next; the gold answer's cluster holds only those that all match.
    verdict = full(3, [says(1 - STEP), says(1 + STEP), says(5.0)])
    assert (verdict.verdict, verdict.votes.agree) == ("ambiguous", 1)


def test_accepting_only_exact_answers_is_a_rule() -> None:
    ballots = [says(1 + STEP)] * 3
    state = vote(3, accept="exact").with_launched(3)
    for index, ballot in enumerate(ballots):
        state = state.with_ballot(index, ballot)
    verdict = state.decided()
    assert verdict is not None
    assert verdict.verdict == "hint_misleading"


# The early end


@cache
def tally_of(gold: int, others: tuple[int, ...], n: int, f: int, x: int) -> Tally:
    return Tally(gold, max((gold, *others), default=0), gold + sum(others), n, f, x)


@cache
def equal_tally(others: tuple[int, ...], n: int, f: int, x: int) -> Tally:
    return Tally(max(others, default=0), max(others, default=0), sum(others), n, f, x)


@cache
def all_ends(planned: int, gold: int | None, others: tuple[int, ...], n: int, f: int, x: int) -> frozenset[VerdictName]:
    """The verdicts of all full runs that go on from here, found by running every one of them.

    Args:
        planned: Traces in a full run.
        gold: Traces that agree with the gold answer so far; None where all traces are equal.
        others: Traces in each other set that agrees.
        n: Traces that found no answer.
        f: Traces that failed.
        x: Traces that were cut off.
    """
    if (gold or 0) + sum(others) + n + f + x == planned:
        tally = equal_tally(others, n, f, x) if gold is None else tally_of(gold, others, n, f, x)
        return frozenset({full_verdict(tally, planned, quorum(planned, hinted=gold is not None))})
    found = all_ends(planned, gold + 1, others, n, f, x) if gold is not None else frozenset()
    for place in range(len(others)):
        grown = tuple(sorted(size + (place == at) for at, size in enumerate(others)))
        found |= all_ends(planned, gold, grown, n, f, x)
    found |= all_ends(planned, gold, tuple(sorted((*others, 1))), n, f, x)
    found |= all_ends(planned, gold, others, n + 1, f, x)
    found |= all_ends(planned, gold, others, n, f + 1, x)
    return found | all_ends(planned, gold, others, n, f, x + 1)


def partitions(total: int, largest: int) -> list[tuple[int, ...]]:
    if total == 0:
        return [()]
    return [
        tuple(sorted((*rest, part)))
        for part in range(1, min(total, largest) + 1)
        for rest in partitions(total - part, part)
    ]


@pytest.mark.parametrize("planned", range(2, 8))
def test_an_early_verdict_is_the_full_run_s_and_comes_as_soon_as_it_can(planned: int) -> None:
    checked = 0
    for gold, n, f, x, other in itertools.product(range(planned + 1), repeat=5):
        if gold + n + f + x + other > planned:
            continue
        for others in set(partitions(other, other)):
            possible = all_ends(planned, gold, others, n, f, x)
            early = early_verdict(tally_of(gold, others, n, f, x), planned, quorum(planned, hinted=True))
            assert (early is not None) == (len(possible) == 1)
            assert early is None or {early} == possible
            checked += 1
    assert checked > planned**3


@pytest.mark.parametrize("planned", range(3, 9))
def test_an_early_verdict_among_equal_traces_is_the_full_run_s_and_comes_as_soon_as_it_can(planned: int) -> None:
    checked = 0
    for n, f, x, other in itertools.product(range(planned + 1), repeat=4):
        if n + f + x + other > planned:
            continue
        for others in set(partitions(other, other)):
            possible = all_ends(planned, None, others, n, f, x)
            early = early_verdict(equal_tally(others, n, f, x), planned, quorum(planned, hinted=False))
            assert (early is not None) == (len(possible) == 1)
            assert early is None or {early} == possible
            checked += 1
    assert checked > planned**2


@cache
def uncut_ends(planned: int, gold: int | None, others: tuple[int, ...], n: int, f: int) -> frozenset[VerdictName]:
    """The verdicts of all full runs that go on from here with nothing cut off; `gold` as in `all_ends`."""
    if (gold or 0) + sum(others) + n + f == planned:
        return all_ends(planned, gold, others, n, f, 0)
    found = uncut_ends(planned, gold, others, n + 1, f) | uncut_ends(planned, gold, others, n, f + 1)
    if gold is not None:
        found |= uncut_ends(planned, gold + 1, others, n, f)
    for grown in {tuple(sorted((*others[:at], size + 1, *others[at + 1 :]))) for at, size in enumerate(others)}:
        found |= uncut_ends(planned, gold, grown, n, f)
    return found | uncut_ends(planned, gold, tuple(sorted((*others, 1))), n, f)


@pytest.mark.parametrize("hinted", [True, False])
@pytest.mark.parametrize("planned", range(3, 8))
def test_a_verdict_stands_only_where_no_trace_that_was_cut_off_could_change_it(planned: int, hinted: bool) -> None:
    """What a server refused is no answer: whatever those traces had said, it would have been the same."""
    need = quorum(planned, hinted=hinted)
    for gold, n, f, other in itertools.product(range(planned + 1 if hinted else 1), *[range(planned + 1)] * 3):
        x = planned - gold - n - f - other
        for others in set(partitions(other, other)) if x > 0 else ():
            possible = uncut_ends(planned, gold if hinted else None, others, n, f)
            tally = tally_of(gold, others, n, f, x) if hinted else equal_tally(others, n, f, x)
            stands = full_verdict(tally, planned, need)
            assert stands == (next(iter(possible)) if len(possible) == 1 else "budget")


SYMBOLS = ["g", "a", "b", "n", "f", "x"]


@pytest.mark.parametrize("planned", [2, 3, 4])
def test_every_run_in_waves_ends_as_the_full_run(planned: int) -> None:
    for symbols in itertools.product(SYMBOLS, repeat=planned):
        ballots = [ballot_of(symbol) for symbol in symbols]
        early = run_in_waves(planned, ballots, random.Random(0))
        assert early.verdict == full_named(tuple(sorted(symbols))), symbols


@pytest.mark.parametrize("planned", [3, 4, 5])
def test_every_run_of_equal_traces_in_waves_ends_as_the_full_run(planned: int) -> None:
    for symbols in itertools.product(SYMBOLS, repeat=planned):
        ballots = [ballot_of(symbol) for symbol in symbols]
        early = run_in_waves(planned, ballots, random.Random(0), gold=None)
        assert early.verdict == full_named(tuple(sorted(symbols)), gold=None), symbols


@cache
def full_named(symbols: tuple[str, ...], gold: float | None = GOLD) -> VerdictName:
    return full(len(symbols), [ballot_of(symbol) for symbol in symbols], gold).verdict


chain_ballots = st.sampled_from(
    [says(1 + place * STEP) for place in range(-3, 4)] + [ends("no_answer"), ends("failed"), ends("error")]
)


@PATIENT
@given(
    st.integers(3, 8).flatmap(lambda n: st.lists(chain_ballots, min_size=n, max_size=n)),
    st.randoms(),
    st.sampled_from([GOLD, None]),
)
def test_waves_end_as_the_full_run_where_equality_is_not_transitive(
    ballots: list[Ballot], arrival: random.Random, gold: float | None
) -> None:
    planned = len(ballots)
    complete = full(planned, ballots, gold)
    early = run_in_waves(planned, ballots, arrival, gold)
    assert early.verdict == complete.verdict
    assert early.votes.launched + early.traces_saved == planned
    assert early.quorum == complete.quorum == quorum(planned, hinted=gold is not None)


@PATIENT
@given(
    st.integers(3, 8).flatmap(lambda n: st.lists(chain_ballots, min_size=n, max_size=n)),
    st.randoms(),
    st.randoms(),
    st.sampled_from([GOLD, None]),
)
def test_what_is_launched_does_not_depend_on_which_trace_is_faster(
    ballots: list[Ballot], arrival: random.Random, other: random.Random, gold: float | None
) -> None:
    waves: list[list[int]] = [[], []]
    verdicts = [
        run_in_waves(len(ballots), ballots, order, gold, into)
        for order, into in zip((arrival, other), waves, strict=True)
    ]
    assert waves[0] == waves[1]
    assert verdicts[0] == verdicts[1]


@PATIENT
@given(
    st.integers(3, 7).flatmap(lambda n: st.lists(chain_ballots, min_size=n, max_size=n)),
    st.randoms(),
    st.sampled_from([GOLD, None]),
)
def test_the_order_of_the_traces_does_not_matter(
    ballots: list[Ballot], shuffle: random.Random, gold: float | None
) -> None:
    mixed = shuffle.sample(ballots, len(ballots))
    one, other = full(len(ballots), ballots, gold), full(len(ballots), mixed, gold)
    assert one.model_copy(update={"clusters": ()}) == other.model_copy(update={"clusters": ()})
    assert [(len(c.members), c.answer, c.tier) for c in one.clusters] == [
        (len(c.members), c.answer, c.tier) for c in other.clusters
    ]


def run_in_waves(
    planned: int,
    ballots: list[Ballot],
    arrival: random.Random,
    gold: float | None = GOLD,
    waves: list[int] | None = None,
) -> Verdict:
    """Runs traces as a flow does: launches a wave, takes its ballots in any order, and asks again."""
    state = vote(planned, gold)
    while (verdict := state.decided()) is None:
        first, wave = state.launched, state.next_wave()
        if waves is not None:
            waves.append(wave)
        assert wave > 0, "a vote that is open always has a trace to launch"
        state = state.with_launched(wave)
        for index in arrival.sample(range(first, first + wave), wave):
            assert state.next_wave() == 0
            state = state.with_ballot(index, ballots[index])
    assert state.next_wave() == 0
    return verdict


def test_a_quorum_for_another_answer_is_no_verdict_while_gold_can_still_get_one() -> None:
    # Three traces match both the gold answer and the fourth trace, which does not match the gold answer.
    ballots = [says(1 + place * STEP) for place in (1, 1, 1, 2, 0, 9)]
    state = vote(6).with_launched(4)
    for index in range(4):
        state = state.with_ballot(index, ballots[index])
    assert (state.decided(), state.next_wave()) == (None, 1)
    verdict = run_in_waves(6, ballots, random.Random(0))
    assert (verdict.verdict, verdict.votes.launched) == ("verified", 5)
    assert run_in_waves(6, [*ballots[:4], says(9.0), says(9.0)], random.Random(0)).verdict == "hint_misleading"
    assert full(6, ballots).verdict == "verified"


def test_one_missing_trace_that_can_still_give_gold_its_quorum_keeps_the_vote_open() -> None:
    """The last trace alone decides: with it the gold answer has exactly what it needs."""
    five = [says(1 + place * STEP) for place in (1, 1, 1, 2, 9)]
    assert run_in_waves(6, [*five, says(GOLD)], random.Random(0)).verdict == "verified"
    assert run_in_waves(6, [*five, says(9.0)], random.Random(0)).verdict == "hint_misleading"


CHAIN = [1 + place * STEP for place in range(-2, 4)]
"""Each matches its neighbours and no other: clusters overlap, as those of equal answers never do."""


@pytest.mark.parametrize(("planned", "gold"), [(2, GOLD), (3, GOLD), (4, GOLD), (3, None), (4, None)])
def test_every_run_in_waves_ends_as_the_full_run_where_clusters_overlap(planned: int, gold: float | None) -> None:
    symbols = [*CHAIN, "n"]
    ballots = {symbol: ends("no_answer") if symbol == "n" else says(symbol) for symbol in symbols}
    for run in itertools.product(symbols, repeat=planned):
        cast = [ballots[symbol] for symbol in run]
        assert run_in_waves(planned, cast, random.Random(0), gold).verdict == full(planned, cast, gold).verdict, run


# Waves


@pytest.mark.parametrize(
    ("planned", "symbols", "launched"),
    [
        (3, "ggg", 2),
        (5, "ggggg", 4),
        (6, "gggggg", 4),
        (6, "aaaaaa", 4),
        (6, "gaggxx", 6),
        (6, "gagggx", 5),
        (5, "abcgg", 4),
        (3, "gan", 3),
        (6, "nnnnnn", 4),
        (6, "nffnfn", 6),
        (6, "abcdgg", 4),
    ],
)
def test_traces_are_launched_only_while_they_can_matter(planned: int, symbols: str, launched: int) -> None:
    ballots = [ballot_of(symbol) for symbol in symbols]
    verdict = run_in_waves(planned, ballots, random.Random(1))
    assert (verdict.votes.launched, verdict.traces_saved) == (launched, planned - launched)


@pytest.mark.parametrize(
    ("planned", "symbols", "launched"),
    [
        (4, "aaaa", 3),
        (4, "naaa", 4),
        (4, "abaa", 4),
        (4, "abcd", 3),
        (4, "nnnn", 3),
        (6, "aaaaaa", 5),
        (7, "abaaaa", 6),
    ],
)
def test_equal_traces_are_launched_only_while_they_can_matter(planned: int, symbols: str, launched: int) -> None:
    ballots = [ballot_of(symbol) for symbol in symbols.ljust(planned, "a")]
    verdict = run_in_waves(planned, ballots, random.Random(1), gold=None)
    assert (verdict.votes.launched, verdict.traces_saved) == (launched, planned - launched)


def test_agreement_among_the_launched_alone_is_no_quorum() -> None:
    # Two of two launched agree, but six were planned: stopping early must not lower the bar.
    state = vote(6).with_launched(4).with_ballot(0, says(GOLD)).with_ballot(1, says(GOLD))
    assert state.decided() is None
    assert state.next_wave() == 0


def test_all_at_once_is_a_rule() -> None:
    assert vote(6, waves=False).next_wave() == 6
    assert vote(6, waves=False).with_launched(6).next_wave() == 0


def test_a_trace_votes_once_and_only_after_its_launch() -> None:
    state = vote(3).with_launched(2)
    with pytest.raises(ValueError, match="trace 2"):
        state.with_ballot(2, says(GOLD))
    with pytest.raises(ValueError, match="trace 0"):
        state.with_ballot(0, says(GOLD)).with_ballot(0, says(GOLD))
    with pytest.raises(ValueError, match="3 planned"):
        state.with_launched(2)
    with pytest.raises(ValueError, match="gold"):
        state.with_gold(says(GOLD))


# The end of the budget


def test_a_run_that_is_cut_off_says_so_only_where_it_matters() -> None:
    open_vote = vote(3).with_launched(2).with_ballot(0, says(GOLD))
    verdict = open_vote.cut_off("the budget of 1.00 USD is spent")
    assert (verdict.verdict, verdict.votes.cut_off, verdict.traces_saved) == ("budget", 2, 0)
    assert "1.00 USD" in verdict.explanation
    decided = vote(3).with_launched(2).with_ballot(0, says(GOLD)).with_ballot(1, says(GOLD))
    assert decided.cut_off("the budget is spent").verdict == "verified"
    assert Triangulation.plan(FLOAT, "easy").cut_off("the provider is down", outcome="error").verdict == "budget"


@PATIENT
@given(st.integers(2, 6).flatmap(lambda n: st.lists(chain_ballots, min_size=n, max_size=n)), st.data())
def test_a_cut_off_run_gives_the_verdict_of_a_run_whose_rest_was_cut_off(
    ballots: list[Ballot], data: st.DataObject
) -> None:
    done = data.draw(st.integers(0, len(ballots)))
    state = vote(len(ballots)).with_launched(done)
    for index in range(done):
        state = state.with_ballot(index, ballots[index])
    rest = [ends("budget")] * (len(ballots) - done)
    assert state.cut_off("it was budget").verdict == full(len(ballots), ballots[:done] + rest).verdict


# Questions with a known answer

JUDGED: list[tuple[Ballot, Ballot, VerdictName]] = [
    (says(1.0), says(1.0), "verified"),
    (says(1.0), says(1.0000001), "verified"),
    (says(1.0), says(1.001), "mismatch"),
    (says(1.0), says(2.0), "mismatch"),
    (says(float("nan")), says(float("nan")), "execution_failed"),
    (says(float("inf")), says(float("inf")), "execution_failed"),
    (says(1.0), says(float("nan")), "too_hard"),
    (says(1.0), says("a text"), "too_hard"),
    (says(1.0), ends("no_answer"), "too_hard"),
    (says(1.0), ends("failed"), "execution_failed"),
    (says(1.0), ends("budget"), "budget"),
    (says(1.0), ends("error"), "budget"),
    (ends("failed"), says(1.0), "execution_failed"),
    (ends("no_answer"), says(1.0), "execution_failed"),
    (says(None), says(1.0), "execution_failed"),
    (ends("error"), says(1.0), "budget"),
]


@pytest.mark.parametrize(("reference", "trace", "name"), JUDGED)
def test_a_known_answer_is_judged(reference: Ballot, trace: Ballot, name: VerdictName) -> None:
    verdict = judge_reference(FLOAT, reference, trace)
    assert verdict.verdict == name
    assert verdict.verified == (name == "verified")
    assert (verdict.tier != "none") == verdict.verified
    assert (verdict.votes.planned, verdict.quorum) == (1, 0)
    counts = verdict.votes
    assert counts.answered + counts.no_answer + counts.failed + counts.cut_off == counts.launched
    assert counts.launched == (reference.answer is not None)
    assert (verdict.verdict == "verified") == (counts.agree == 1)
    assert verdict.explanation.endswith(".")
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_no_trace_is_needed_where_the_reference_has_no_answer() -> None:
    assert judge_reference(FLOAT, ends("failed"), None).verdict == "execution_failed"
    assert "it was failed" in judge_reference(FLOAT, ends("failed"), None).explanation
    with pytest.raises(ValueError, match="needs a trace"):
        judge_reference(FLOAT, says(1.0), None)


def test_a_reference_must_match_itself() -> None:
    opaque = Answer(Opaque("<Model>", "x.Model"))
    verdict = judge_reference(FLOAT, Ballot("answered", opaque), says(1.0))
    assert verdict.verdict == "execution_failed"
    assert "match itself" in verdict.explanation


def test_a_mismatch_tells_both_answers() -> None:
    verdict = judge_reference(FLOAT, says(1.0), says(2.0))
    assert (verdict.gold, verdict.clusters[0].answer, verdict.clusters[0].has_gold) == ("1", "2", False)
    assert "1 and 2 differ" in verdict.explanation
