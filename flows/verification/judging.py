"""The verdict on a question whose answer is known: one trace against the reference answer."""

from __future__ import annotations

from collections.abc import Sequence

from flows.answers.answers import Answer, render
from flows.answers.comparator import COMPARATOR_VERSION, compare, matches_itself
from flows.answers.tiers import Tier
from flows.questions.records import AnswerSpec
from flows.verification.verdicts import AnswerCluster, Ballot, Outcome, Verdict, VerdictName, Votes


def judge_reference(
    spec: AnswerSpec,
    reference: Ballot,
    trace: Ballot | None,
    *,
    alternatives: Sequence[Answer] = (),
    accept: Tier = "tolerance",
) -> Verdict:
    """The verdict on a question whose answer is known: by its reference program, or given with it.

    Args:
        spec: What the question asks for.
        reference: How the reference program ended; `Ballot.of` the given answer where there is no program.
        trace: How the one trace ended that was asked; not looked at, and may be None, where the reference program gave
            no answer to compare with.
        alternatives: Other answers that count as right, parsed with `spec`.
        accept: The loosest tier at which the answers count as the same.

    Returns:
        verified, mismatch (it answered something else), too_hard (it gave no answer), execution_failed (its code
        failed to the end, or the reference has no usable answer), or budget (either was cut off).

    Raises:
        ValueError: There is a reference answer and no trace.
    """
    name, explanation, tier = _judged(spec, reference, trace, alternatives, accept)
    # Without a reference answer there is nothing to ask a trace for.
    asked = trace if reference.answer is not None else None
    outcome = None if asked is None else asked.outcome
    answer = None if asked is None else asked.answer
    return Verdict(
        verdict=name,
        explanation=explanation,
        votes=Votes(
            agree=int(name == "verified"),
            answered=int(outcome == "answered"),
            no_answer=int(outcome == "no_answer"),
            failed=int(outcome == "failed"),
            cut_off=int(outcome in ("budget", "error")),
            launched=int(asked is not None),
            planned=1,
        ),
        quorum=0,
        clusters=() if answer is None else (_alone(answer, name, tier),),
        gold=None if reference.answer is None else render(reference.answer),
        tier=tier if name == "verified" else "none",
        comparator_version=COMPARATOR_VERSION,
    )


def _alone(answer: Answer, name: VerdictName, tier: Tier) -> AnswerCluster:
    verified = name == "verified"
    return AnswerCluster(members=(0,), has_gold=verified, answer=render(answer), tier=tier if verified else "exact")


def _judged(
    spec: AnswerSpec, reference: Ballot, trace: Ballot | None, alternatives: Sequence[Answer], accept: Tier
) -> tuple[VerdictName, str, Tier]:
    if reference.answer is None:
        name: VerdictName = "budget" if reference.outcome in ("budget", "error") else "execution_failed"
        return name, _ended("The reference program", reference), "none"
    if trace is None:
        raise ValueError("a reference answer needs a trace to be compared with")
    if trace.answer is None:
        ends: dict[Outcome, VerdictName] = {"no_answer": "too_hard", "failed": "execution_failed"}
        return ends.get(trace.outcome, "budget"), _ended("The trace", trace), "none"
    itself = matches_itself(reference.answer, spec)
    if not itself.equal:
        return "execution_failed", f"The reference answer does not even match itself: {itself.reason}", "none"
    found = compare(reference.answer, trace.answer, spec, accept=accept)
    if found.equal:
        return "verified", "The trace's answer equals the reference answer.", found.tier
    for alternative in alternatives:
        other = compare(alternative, trace.answer, spec, accept=accept)
        if other.equal:
            return "verified", "The trace's answer equals one of the other answers that count as right.", other.tier
    return "mismatch", f"The trace's answer is not the reference answer: {found.reason}", found.tier


def _ended(who: str, ballot: Ballot) -> str:
    ends: dict[Outcome, str] = {"failed": "failed in its code to the end", "no_answer": "gave no usable answer"}
    detail = f": {ballot.detail.rstrip('.')}." if ballot.detail else "."
    return f"{who} {ends.get(ballot.outcome, 'was cut off')}{detail}"
