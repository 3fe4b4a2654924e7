"""Verdicts for people: each says how many traces did what, which answers there were, and what ended it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from flows.answers.answers import Answer, parse_reference
from flows.answers.comparator import COMPARATOR_VERSION
from flows.questions.records import AnswerSpec
from flows.verification.judging import judge_reference
from flows.verification.triangulation import Tally, Triangulation, TriangulationRule, early_verdict, full_verdict
from flows.verification.verdicts import Ballot, Outcome, Verdict

FLOAT = AnswerSpec(type="float")
WORD = AnswerSpec(type="string")
STEP = 0.6e-6
"""Values this far apart (relative) match their neighbours and nobody further away."""


def says(value: object, spec: AnswerSpec = FLOAT) -> Ballot:
    return Ballot.of(parse_reference(value, spec))


def ends(outcome: Outcome, detail: str = "") -> Ballot:
    return Ballot(outcome, detail=detail)


def held(gold: Ballot | None, *ballots: Ballot, spec: AnswerSpec = FLOAT, **rule: Any) -> Verdict:
    """The verdict after all of these have voted; without a gold ballot they are equal traces."""
    state = Triangulation(spec, len(ballots), TriangulationRule(**rule), hinted=gold is not None)
    state = (state if gold is None else state.with_gold(gold)).with_launched(len(ballots))
    for index, ballot in enumerate(ballots):
        state = state.with_ballot(index, ballot)
    verdict = state.decided()
    assert verdict is not None
    return verdict


def numbers(verdict: Verdict) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", verdict.explanation)]


NONE, CODE, OUT = ends("no_answer"), ends("failed"), ends("budget", "the money is gone.")


@pytest.mark.parametrize(
    ("gold", "ballots", "name", "told", "words"),
    [
        (says(1.0), [says(1.0), says(1.0), NONE], "verified", [2, 2, 3], "with the gold answer"),
        (None, [says(1.0), says(1.0), says(1.0), NONE], "verified", [3, 3, 4], "agree"),
        (says(1.0), [says(2.0), says(2.0), says(1.0)], "hint_misleading", [2, 2, 3], "another answer"),
        (says(1.0), [says(2.0), says(3.0), says(1.0)], "ambiguous", [3, 1, 2, 3], "answered"),
        (says(1.0), [says(1.0), NONE, NONE], "too_hard", [1, 0, 2, 2, 3], "1 independent trace answered"),
        (says(1.0), [says(1.0), CODE, CODE], "execution_failed", [1, 2, 0, 2, 3], "failed in their code"),
        (says(1.0), [NONE, NONE, NONE], "too_hard", [0, 0, 3, 2, 3], "0 independent traces answered"),
        (says(1.0), [says(1.0), OUT, NONE], "budget", [1, 2, 3], "1 independent trace cut off (the money is gone)"),
        (says(1.0), [OUT, ends("error"), OUT], "budget", [3, 2, 3], "(error; the money is gone)"),
    ],
)
def test_the_votes_are_told_by_number(
    gold: Ballot | None, ballots: list[Ballot], name: str, told: list[int], words: str
) -> None:
    verdict = held(gold, *ballots)
    assert verdict.verdict == name
    assert numbers(verdict) == told
    assert words in verdict.explanation
    assert (" with the gold answer" in verdict.explanation) == (name == "verified" and gold is not None)


def test_the_votes_are_counted_by_how_the_traces_ended() -> None:
    votes = held(
        says(1.0), says(1.0), says(2.0), says(3.0), NONE, NONE, CODE, CODE, CODE, OUT, ends("error"), says(1.0)
    ).votes
    assert (votes.agree, votes.answered, votes.no_answer, votes.failed, votes.cut_off) == (2, 4, 2, 3, 2)
    assert (votes.launched, votes.planned) == (11, 11)


def test_a_verdict_names_the_comparator_that_made_it() -> None:
    assert held(says(1.0), NONE, NONE).comparator_version == COMPARATOR_VERSION
    assert judge_reference(FLOAT, says(1.0), says(1.0)).comparator_version == COMPARATOR_VERSION


# The gold trace, where it gave no answer to vote on


@pytest.mark.parametrize(
    ("gold", "name", "words"),
    [
        (ends("failed", "KeyError: 'x'."), "execution_failed", "failed to the end: KeyError: 'x'."),
        (ends("no_answer", "it was empty"), "too_hard", "no usable answer: it was empty."),
        (ends("budget", "10 requests were sent"), "budget", "cut off: 10 requests were sent."),
        (ends("error", "the sandbox is gone"), "budget", "cut off: the sandbox is gone."),
        (ends("failed"), "execution_failed", "failed to the end."),
        (ends("no_answer"), "too_hard", "no usable answer."),
        (ends("budget"), "budget", "cut off."),
        (says("many"), "too_hard", '"many" is a string.'),
    ],
)
def test_a_gold_trace_without_an_answer_ends_the_vote(gold: Ballot, name: str, words: str) -> None:
    state = Triangulation(FLOAT, 3).with_gold(gold)
    assert state.next_wave() == 0
    verdict = state.decided()
    assert verdict is not None
    assert (verdict.verdict, verdict.gold, verdict.tier) == (name, None, "none")
    assert verdict.explanation.startswith("The ")
    assert "gold trace" in verdict.explanation
    assert verdict.explanation.endswith(words)
    assert (verdict.votes.launched, verdict.traces_saved) == (0, 3)


# Clusters


def test_clusters_are_told_with_who_is_in_them_and_what_they_say() -> None:
    verdict = held(says(7.0), NONE, says(8.0), says(7.0), says(7 * (1 + STEP)), says(8.0), spec=FLOAT)
    assert verdict.verdict == "ambiguous"
    told = [(each.members, each.has_gold, each.answer, each.tier) for each in verdict.clusters]
    assert told == [((1, 4), False, "8", "exact"), ((2, 3), True, "7", "tolerance")]
    assert verdict.gold == "7"


def test_the_cluster_that_is_verified_comes_first_though_another_one_is_as_large() -> None:
    # The gold answer is 1 + 2 steps; 1 and the two of 1 + 1 step match each other just as closely.
    verified = held(says(1 + 2 * STEP), *map(says, [1.0, 1 + STEP, 1 + STEP, 1 + 2 * STEP]))
    assert verified.verdict == "verified"
    assert [(each.members, each.has_gold) for each in verified.clusters] == [((1, 2, 3), True), ((0,), False)]
    assert (verified.tier, verified.clusters[0].tier, verified.clusters[1].tier) == ("tolerance", "tolerance", "exact")


def test_the_tier_of_a_verdict_counts_the_gold_answer_in() -> None:
    # The traces match each other exactly, and the gold answer only within the tolerance.
    verdict = held(says(1 + STEP), says(1.0), says(1.0), says(2.0))
    assert (verdict.verdict, verdict.tier) == ("verified", "tolerance")
    assert verdict.clusters[0].tier == "tolerance"
    equal = held(None, says(1.0), says(1.0), says(1.0), says(1 + STEP * 3))
    assert (equal.verdict, equal.tier) == ("verified", "exact")
    assert not any(each.has_gold for each in equal.clusters)


def test_a_cluster_has_the_gold_answer_only_where_all_of_it_does() -> None:
    verdict = held(says(1.0), says(1 + STEP), says(1 + 2 * STEP), says(1 + 2 * STEP), says(9.0))
    assert [each.has_gold for each in verdict.clusters] == [False, False]


# What a cut-off kept from being run


@pytest.mark.parametrize(("outcome", "shown"), [("budget", "the day is over"), ("error", "the day is over")])
def test_a_cut_off_counts_every_trace_that_had_not_ended(outcome: Any, shown: str) -> None:
    state = Triangulation(FLOAT, 5).with_gold(says(1.0)).with_launched(2).with_ballot(1, says(1.0))
    verdict = state.cut_off("the day is over.", outcome=outcome)
    assert (verdict.verdict, verdict.votes.answered, verdict.votes.cut_off) == ("budget", 1, 4)
    assert (verdict.votes.launched, verdict.traces_saved) == (2, 0)
    assert f"({shown})" in verdict.explanation
    before = Triangulation(FLOAT, 5).cut_off("the day is over", outcome=outcome)
    assert (before.verdict, before.votes.cut_off, before.gold) == ("budget", 5, None)
    assert "gold trace was cut off: the day is over" in before.explanation


def test_a_cut_off_is_told_by_its_outcome_where_nothing_more_is_known() -> None:
    assert "(budget)" in held(says(1.0), ends("budget"), ends("budget"), NONE).explanation


# What a vote refuses


def test_a_vote_refuses_what_cannot_be_by_its_numbers() -> None:
    state = Triangulation(FLOAT, 3).with_gold(says(1.0))
    with pytest.raises(ValueError, match="4 traces launched and 3 planned"):
        state.with_launched(4)
    with pytest.raises(ValueError, match="planned"):
        state.with_launched(-1)
    with pytest.raises(ValueError, match="trace -1 "):
        state.with_launched(2).with_ballot(-1, NONE)
    with pytest.raises(ValueError, match="trace 2 "):
        state.with_launched(2).with_ballot(2, NONE)
    with pytest.raises(ValueError, match="already voted"):
        state.with_launched(2).with_ballot(1, NONE).with_ballot(1, NONE)
    with pytest.raises(ValueError, match="no gold trace"):
        Triangulation(FLOAT, 3, hinted=False).with_gold(says(1.0))
    with pytest.raises(ValueError, match="already voted"):
        state.with_gold(says(1.0))
    assert state.with_launched(0) == state


@pytest.mark.parametrize(("outcome", "answer"), [("answered", None), ("no_answer", parse_reference(1.0, FLOAT))])
def test_a_ballot_has_an_answer_exactly_when_it_answered(outcome: Outcome, answer: Answer | None) -> None:
    with pytest.raises(ValueError, match="answered"):
        Ballot(outcome, answer)


def test_an_answer_of_another_kind_is_no_answer_and_says_why() -> None:
    ballot = says("many")
    assert (ballot.outcome, ballot.answer) == ("no_answer", None)
    assert '"many" is a string' in ballot.detail
    assert says(1.0).detail == ""


# The rules themselves


def test_as_many_failures_as_lacks_of_an_answer_are_a_lack_and_more_are_a_failure() -> None:
    tally = Tally(answered=1, largest=1, agree=1, no_answer=1, failed=1)
    assert full_verdict(tally, 3, 2) == "too_hard"
    assert full_verdict(Tally(answered=0, no_answer=1, failed=2), 3, 2) == "execution_failed"


def test_a_quorum_for_another_answer_stands_only_once_gold_can_no_longer_have_one() -> None:
    # Two more could still agree with the gold answer, and would make three of the three it needs.
    assert early_verdict(Tally(agree=1, largest=3, answered=4), 6, 3) is None
    assert early_verdict(Tally(agree=1, largest=3, answered=5), 6, 3) == "hint_misleading"
    assert early_verdict(Tally(agree=0, largest=4, answered=4), 6, 4) == "hint_misleading"


def test_a_wave_is_as_large_as_what_a_quorum_still_needs() -> None:
    """One after the other would come to the same verdict, and take as many times as long."""
    state = Triangulation(FLOAT, 9).with_gold(says(1.0))
    assert state.next_wave() == 6
    state = state.with_launched(6)
    for index, ballot in enumerate([says(1.0), says(1.0), says(1.0), NONE, says(2.0), says(3.0)]):
        assert state.next_wave() == 0
        state = state.with_ballot(index, ballot)
    assert state.next_wave() == 3
    # Two more answers are needed where four agree.
    better = Triangulation(FLOAT, 9).with_gold(says(1.0)).with_launched(6)
    for index, ballot in enumerate([says(1.0), says(1.0), says(1.0), says(1.0), NONE, NONE]):
        better = better.with_ballot(index, ballot)
    assert better.next_wave() == 2
    # No quorum is left for anything: what is open is only the reason, and one trace at a time may tell it.
    split = Triangulation(FLOAT, 6).with_gold(says(1.0)).with_launched(4)
    for index, ballot in enumerate([NONE, NONE, CODE, CODE]):
        split = split.with_ballot(index, ballot)
    assert (split.decided(), split.next_wave()) == (None, 1)


# A known answer


@pytest.mark.parametrize(
    ("reference", "trace", "name", "words"),
    [
        (says(1.0), says(1.0), "verified", "equals the reference answer"),
        (says(1.0), says(2.0), "mismatch", "1 and 2 differ."),
        (says(1.0), ends("no_answer", "it gave up."), "too_hard", "The trace gave no usable answer: it gave up."),
        (
            says(1.0),
            ends("failed", "KeyError"),
            "execution_failed",
            "The trace failed in its code to the end: KeyError.",
        ),
        (says(1.0), ends("budget", "no money"), "budget", "The trace was cut off: no money."),
        (says(1.0), ends("error"), "budget", "The trace was cut off."),
        (
            ends("failed", "KeyError"),
            says(1.0),
            "execution_failed",
            "The reference program failed in its code to the end: KeyError.",
        ),
        (ends("no_answer"), says(1.0), "execution_failed", "The reference program gave no usable answer."),
        (
            ends("error", "the sandbox is gone"),
            None,
            "budget",
            "The reference program was cut off: the sandbox is gone.",
        ),
    ],
)
def test_the_verdict_on_a_known_answer_says_who_ended_how(
    reference: Ballot, trace: Ballot | None, name: str, words: str
) -> None:
    verdict = judge_reference(FLOAT, reference, trace)
    assert (verdict.verdict, verdict.quorum, verdict.votes.planned) == (name, 0, 1)
    assert words in verdict.explanation
    assert not verdict.explanation.endswith("..")
    assert (verdict.tier == "none") == (name != "verified")


def test_a_reference_program_that_was_cut_off_is_worth_another_try() -> None:
    for outcome in ("budget", "error"):
        assert judge_reference(FLOAT, Ballot(outcome), None).verdict == "budget"
    near = judge_reference(FLOAT, says(1.0), says(1.001))
    assert (near.verdict, near.tier, near.clusters[0].tier) == ("mismatch", "none", "exact")


@pytest.mark.parametrize(
    ("trace", "answered", "no_answer", "failed", "cut_off"),
    [(says(2.0), 1, 0, 0, 0), (NONE, 0, 1, 0, 0), (CODE, 0, 0, 1, 0), (OUT, 0, 0, 0, 1), (ends("error"), 0, 0, 0, 1)],
)
def test_the_one_trace_is_counted_by_how_it_ended(
    trace: Ballot, answered: int, no_answer: int, failed: int, cut_off: int
) -> None:
    votes = judge_reference(FLOAT, says(1.0), trace).votes
    counted = (votes.answered, votes.no_answer, votes.failed, votes.cut_off)
    assert counted == (answered, no_answer, failed, cut_off)
    assert (votes.agree, votes.launched) == (0, 1)
    assert judge_reference(FLOAT, NONE, trace).votes.launched == 0


def test_another_right_answer_verifies_at_its_own_tier() -> None:
    others = [parse_reference(2.0, FLOAT), parse_reference(3.0, FLOAT)]
    verdict = judge_reference(FLOAT, says(1.0), says(3 * (1 + STEP)), alternatives=others)
    assert (verdict.verdict, verdict.tier, verdict.votes.agree) == ("verified", "tolerance", 1)
    assert verdict.gold == "1"
    cluster = verdict.clusters[0]
    assert (cluster.members, cluster.has_gold, cluster.tier) == ((0,), True, "tolerance")
    assert "other answers" in verdict.explanation
    strict = judge_reference(FLOAT, says(1.0), says(3 * (1 + STEP)), alternatives=others, accept="exact")
    assert (strict.verdict, strict.tier, strict.clusters[0].tier) == ("mismatch", "none", "exact")
    assert "1 and 3" in strict.explanation


def test_a_known_answer_that_is_no_answer_at_all_is_the_reference_s_fault() -> None:
    verdict = judge_reference(WORD, Ballot.of(parse_reference(None, WORD)), None)
    assert (verdict.verdict, verdict.gold, verdict.clusters) == ("execution_failed", None, ())
    assert "(None)" in verdict.explanation
