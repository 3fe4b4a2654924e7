"""The verdict on a question whose answer is known: one trace against the reference answer."""

from __future__ import annotations

from flows.questions.records import AnswerSpec
from flows.verification.answers import Answer, render
from flows.verification.comparator import COMPARATOR_VERSION, compare, matches_itself
from flows.verification.tiers import Tier
from flows.verification.verdicts import AnswerCluster, Ballot, Verdict, VerdictName, Votes


def judge_reference(spec: AnswerSpec, reference: Ballot, trace: Ballot, *, accept: Tier = "tolerance") -> Verdict:
    """The verdict on a question whose answer is known: by its reference program, or given with it.

    Args:
        spec: What the question asks for.
        reference: How the reference program ended; `Ballot.of` the given answer where there is no program.
        trace: How the one trace ended that was asked.
        accept: The loosest tier at which the answers count as the same.

    Returns:
        verified, mismatch (it answered something else), too_hard (it gave no answer), execution_failed (its code
        failed to the end, or the reference has no usable answer), or budget (either was cut off).
    """
    name, explanation, tier = _judged(spec, reference, trace, accept)
    answered = trace.answer is not None
    return Verdict(
        verdict=name,
        explanation=explanation,
        votes=Votes(
            agree=int(name == "verified"),
            answered=int(answered),
            no_answer=int(trace.outcome == "no_answer"),
            failed=int(trace.outcome == "failed"),
            cut_off=int(trace.outcome in ("budget", "error")),
            launched=1,
            planned=1,
        ),
        quorum=0,
        clusters=(_alone(trace.answer, name, tier),) if trace.answer is not None else (),
        gold=None if reference.answer is None else render(reference.answer),
        tier=tier if name == "verified" else "none",
        comparator_version=COMPARATOR_VERSION,
    )


def _alone(answer: Answer, name: VerdictName, tier: Tier) -> AnswerCluster:
    verified = name == "verified"
    return AnswerCluster(members=(0,), has_gold=verified, answer=render(answer), tier=tier if verified else "exact")


def _judged(spec: AnswerSpec, reference: Ballot, trace: Ballot, accept: Tier) -> tuple[VerdictName, str, Tier]:
    for who, ballot in (("The reference program", reference), ("The trace", trace)):
        detail = f": {ballot.detail.rstrip('.')}." if ballot.detail else "."
        if ballot.outcome in ("budget", "error"):
            return "budget", f"{who} was cut off{detail}", "none"
        if ballot.outcome == "failed":
            return "execution_failed", f"{who} failed in its code to the end{detail}", "none"
        if ballot.outcome == "no_answer":
            name: VerdictName = "execution_failed" if ballot is reference else "too_hard"
            return name, f"{who} gave no usable answer{detail}", "none"
    if reference.answer is None or trace.answer is None:
        raise AssertionError("a ballot that answered has an answer")
    itself = matches_itself(reference.answer, spec)
    if not itself.equal:
        return "execution_failed", f"The reference answer does not even match itself: {itself.reason}", "none"
    found = compare(reference.answer, trace.answer, spec, accept=accept)
    if found.equal:
        return "verified", "The trace's answer equals the reference answer.", found.tier
    return "mismatch", f"The trace's answer is not the reference answer: {found.reason}", found.tier
