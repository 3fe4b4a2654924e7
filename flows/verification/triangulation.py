"""Triangulation: the vote of independent traces on an answer, its quorum, its waves and its early end.

Where a question has a hint, a gold trace is told it, and the independent traces vote on the gold answer. Where it has
none, there is nothing to tell: all traces are equal, and the largest set of answers that agree is what is voted on.

Pure decisions on immutable state; who launches traces asks `decided` and `next_wave` after each wave. The quorum is
over the planned traces, as though all were launched, and a verdict is given early only when no way in which the
remaining traces could end would change it: stopping early changes what a question costs, never what is said of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field

from blocks.frozen import Frozen
from blocks.plurals import several
from flows.answers.answers import Answer, render
from flows.answers.comparator import COMPARATOR_VERSION
from flows.answers.tiers import Tier
from flows.questions.records import AnswerSpec, Difficulty
from flows.verification.clustering import Cluster, MatchGraph
from flows.verification.verdicts import CUT_BY_LENGTH, AnswerCluster, Ballot, Verdict, VerdictName, Votes

MAX_PLANNED = 16
"""Independent traces beside a gold one; without a gold one there is one more."""
TraceCount = Annotated[int, Field(ge=2, le=MAX_PLANNED)]


class TriangulationRule(Frozen):
    """How many independent traces a question gets, and what counts as agreement. Part of the episode key."""

    easy: TraceCount = 3
    medium: TraceCount = 3
    hard: TraceCount = 5
    very_hard: TraceCount = 6
    accept: Annotated[Tier, Field(description="loosest tier at which two answers count as the same")] = "tolerance"
    waves: Annotated[bool, Field(description="launch in waves, and stop when decided; else all at once")] = True

    def planned(self, difficulty: Difficulty, *, hinted: bool) -> int:
        """The independent traces planned for a question of this difficulty.

        Args:
            difficulty: The question's.
            hinted: Whether a gold trace is told a hint; where none is, one more equal trace stands in its place.
        """
        counts = {"easy": self.easy, "medium": self.medium, "hard": self.hard, "very_hard": self.very_hard}
        return counts[difficulty] + (0 if hinted else 1)


def quorum(planned: int, *, hinted: bool) -> int:
    """The independent traces that must agree.

    Beside a gold trace at least two, and at least two thirds of the planned ones. Among equal traces as many answers
    must agree as would with the gold one: one more, of one more.
    """
    if not hinted:
        return quorum(planned - 1, hinted=True) + 1
    return max(2, -(-2 * planned // 3))


@dataclass(frozen=True, slots=True)
class Tally:
    """What the votes come down to, as far as a verdict is concerned.

    Attributes:
        agree: Size of the largest cluster the gold answer lies in; of the largest cluster where there is no gold trace.
        largest: Size of the largest cluster.
        answered: Traces with a usable answer.
        no_answer: Traces that ended without one.
        failed: Traces whose code failed to the end.
        cut_off: Traces that something else cut off.
    """

    agree: int = 0
    largest: int = 0
    answered: int = 0
    no_answer: int = 0
    failed: int = 0
    cut_off: int = 0


@lru_cache(maxsize=10_000)
def full_verdict(tally: Tally, planned: int, need: int) -> VerdictName:
    """The verdict on a question whose gold trace, if it has one, answered, and whose planned traces have all ended.

    verified: the gold answer's cluster has the quorum, `need`; where there is no gold trace, any cluster.
    hint_misleading: another cluster has it. budget: the verdict hangs on traces that were cut off. ambiguous: enough
    traces answered, or so many differently that no quorum is left for them. execution_failed, too_hard: too few
    answered, mostly because code failed, or else because none was found.
    """
    if tally.cut_off:
        # What a server or a sandbox did is no answer: a verdict stands only where no end of theirs could change it.
        return early_verdict(replace(tally, cut_off=0), planned, need) or "budget"
    if tally.agree >= need:
        return "verified"
    if tally.largest >= need:
        return "hint_misleading"
    if tally.answered >= need or tally.answered - tally.largest > planned - need:
        return "ambiguous"
    return "execution_failed" if tally.failed > tally.no_answer else "too_hard"


@lru_cache(maxsize=10_000)
def early_verdict(tally: Tally, planned: int, need: int) -> VerdictName | None:
    """The verdict if it is the same however the remaining traces end; None while it is open."""
    remaining = planned - tally.answered - tally.no_answer - tally.failed - tally.cut_off
    if not remaining:
        return full_verdict(tally, planned, need)
    if tally.agree >= need:
        return "verified"
    if tally.largest >= need:
        return None if tally.agree + tally.cut_off + remaining >= need else "hint_misleading"
    if tally.largest + remaining >= need:
        return None
    found = {full_verdict(end, planned, need) for end in _ends(tally, remaining)}
    return found.pop() if len(found) == 1 else None


def _ends(tally: Tally, remaining: int) -> Iterator[Tally]:
    """Every tally that the remaining traces can lead to; one that is cut off leaves open what these differ in."""
    for answered in range(remaining + 1):
        for largest in range(max(tally.largest, min(1, answered)), tally.largest + answered + 1):
            for failed in range(remaining - answered + 1):
                yield replace(
                    tally,
                    largest=largest,
                    answered=tally.answered + answered,
                    failed=tally.failed + failed,
                    no_answer=tally.no_answer + remaining - answered - failed,
                )


@dataclass(frozen=True)
class Triangulation:
    """The state of one question's vote; every method that changes it gives a new one.

    Attributes:
        spec: What the question asks for.
        planned: Independent traces planned.
        rule: How the vote is held.
        hinted: Whether a gold trace is told a hint; otherwise all traces are equal and there is no gold one.
        launched: Independent traces launched so far; their indices are 0, 1, 2, ….
        gold: The gold trace's ballot once it has ended.
        ballots: The ended independent traces: index and ballot, in order of the index.

    Raises:
        ValueError: Fewer than 2 or more than `MAX_PLANNED` traces are planned; without a gold trace, one more of each.
    """

    spec: AnswerSpec
    planned: int
    rule: TriangulationRule = field(default_factory=TriangulationRule)
    hinted: bool = True
    launched: int = 0
    gold: Ballot | None = None
    ballots: tuple[tuple[int, Ballot], ...] = ()

    def __post_init__(self) -> None:
        more = 0 if self.hinted else 1
        if not 2 + more <= self.planned <= MAX_PLANNED + more:
            raise ValueError(f"a vote takes {2 + more} to {MAX_PLANNED + more} independent traces, not {self.planned}")

    @classmethod
    def plan(
        cls, spec: AnswerSpec, difficulty: Difficulty, rule: TriangulationRule | None = None, *, hinted: bool = True
    ) -> Self:
        """The vote on a question before any trace ran."""
        rule = rule or TriangulationRule()
        return cls(spec, rule.planned(difficulty, hinted=hinted), rule, hinted)

    @property
    def need(self) -> int:
        """The independent traces that must agree."""
        return quorum(self.planned, hinted=self.hinted)

    def with_gold(self, ballot: Ballot) -> Self:
        """The vote after the gold trace ended.

        Raises:
            ValueError: It had ended before, or there is none.
        """
        if not self.hinted:
            raise ValueError("a vote among equal traces has no gold trace")
        if self.gold is not None:
            raise ValueError("the gold trace has already voted")
        return replace(self, gold=ballot)

    def with_launched(self, count: int) -> Self:
        """The vote after `count` more independent traces were launched.

        Raises:
            ValueError: That is more than planned.
        """
        if count < 0 or self.launched + count > self.planned:
            raise ValueError(f"{self.launched + count} traces launched and {self.planned} planned")
        return replace(self, launched=self.launched + count)

    def with_ballot(self, index: int, ballot: Ballot) -> Self:
        """The vote after the independent trace `index` ended.

        Raises:
            ValueError: It was not launched, or had ended before.
        """
        if not 0 <= index < self.launched or any(index == done for done, _ in self.ballots):
            raise ValueError(f"trace {index} was not launched or has already voted")
        ballots = sorted((*self.ballots, (index, ballot)), key=lambda pair: pair[0])
        return replace(self, ballots=tuple(ballots))

    def next_wave(self) -> int:
        """How many traces to launch now.

        None before a gold trace has answered, none while a wave is still out, and none once decided. Otherwise as
        many as a quorum still needs if all goes well; one where no quorum is left and only the reason is open. As a
        wave is awaited whole, which traces are launched does not depend on which of them is faster, and a resumed
        vote launches the same ones.
        """
        if self._awaits_gold or self.launched > len(self.ballots) or self.decided() is not None:
            return 0
        unlaunched = self.planned - self.launched
        if not self.rule.waves:
            return unlaunched
        need, tally = self.need, self._tally
        # With a quorum for another answer, all that is open is whether the gold answer gets one too.
        missing = need - (tally.agree if tally.largest >= need else tally.largest)
        return missing if missing <= unlaunched else 1

    def decided(self) -> Verdict | None:
        """The verdict if no remaining trace could change it; None while it is open."""
        if self._awaits_gold:
            return None
        if self.gold is not None and self.gold.outcome != "answered":
            return self._without_gold(self.gold)
        name = early_verdict(self._tally, self.planned, self.need)
        return None if name is None else self._verdict(name, self._explain(name))

    def cut_off(self, detail: str, *, outcome: Literal["budget", "error"] = "budget") -> Verdict:
        """The verdict when nothing more can be run: every trace that has not ended counts as cut off.

        Args:
            detail: What cut it off, a few words for people.
            outcome: Whether the budget ended or something failed, see `Outcome`.
        """
        ballot = Ballot(outcome, detail=detail)
        done = {index for index, _ in self.ballots}
        rest = [(index, ballot) for index in range(self.planned) if index not in done]
        ballots = tuple(sorted((*self.ballots, *rest), key=lambda pair: pair[0]))
        gold = self.gold or (ballot if self.hinted else None)
        return replace(self, gold=gold, ballots=ballots)._final()

    def _final(self) -> Verdict:
        verdict = self.decided()
        if verdict is None:
            raise AssertionError("a vote is decided when every ballot is in")
        return verdict

    @property
    def _awaits_gold(self) -> bool:
        return self.hinted and self.gold is None

    # What the ballots come down to. Positions count the answers in order of their trace's index; the gold answer's
    # position comes after them.

    @cached_property
    def _answers(self) -> list[tuple[int, Answer]]:
        return [(index, ballot.answer) for index, ballot in self.ballots if ballot.answer is not None]

    @cached_property
    def _graph(self) -> MatchGraph:
        answers = [answer for _, answer in self._answers]
        if self._gold_answer is not None:
            answers.append(self._gold_answer)
        return MatchGraph(answers, self.spec, accept=self.rule.accept)

    @property
    def _gold_answer(self) -> Answer | None:
        return self.gold.answer if self.gold is not None else None

    @cached_property
    def _agreeing(self) -> tuple[int, ...]:
        """The positions that count towards verified: around the gold answer, or among equal traces the most."""
        places = range(len(self._answers))
        if not self.hinted:
            return self._graph.largest(places)
        return self._graph.largest(places, around=len(places)) if self._gold_answer is not None else ()

    @cached_property
    def _tally(self) -> Tally:
        outcomes = Counter(ballot.outcome for _, ballot in self.ballots)
        return Tally(
            agree=len(self._agreeing),
            largest=len(self._graph.largest(range(len(self._answers)))),
            answered=outcomes["answered"],
            no_answer=outcomes["no_answer"],
            failed=outcomes["failed"],
            cut_off=outcomes["budget"] + outcomes["error"],
        )

    # The verdict in words

    def _verdict(self, name: VerdictName, explanation: str) -> Verdict:
        tally, gold = self._tally, self._gold_answer
        voted_on = (*self._agreeing, len(self._answers)) if gold is not None else self._agreeing
        return Verdict(
            verdict=name,
            explanation=explanation,
            votes=Votes(
                agree=tally.agree,
                answered=tally.answered,
                no_answer=tally.no_answer,
                failed=tally.failed,
                cut_off=tally.cut_off,
                launched=self.launched,
                planned=self.planned,
            ),
            quorum=self.need,
            clusters=tuple(map(self._described, self._clusters(name))),
            gold=None if gold is None else render(gold),
            tier=self._graph.cluster(voted_on).tier if name == "verified" else "none",
            # Traces that a cut-off kept from running were not saved.
            traces_saved=self.planned - max(self.launched, len(self.ballots)),
            comparator_version=COMPARATOR_VERSION,
        )

    def _clusters(self, name: VerdictName) -> tuple[Cluster, ...]:
        places = range(len(self._answers))
        if name != "verified":
            return self._graph.clusters(places)
        rest = set(places) - set(self._agreeing)
        return self._graph.cluster(self._agreeing), *self._graph.clusters(rest)

    def _described(self, cluster: Cluster) -> AnswerCluster:
        gold = len(self._answers)
        has_gold = gold < len(self._graph.answers) and all(self._graph.match(gold, place) for place in cluster.members)
        whole = self._graph.cluster((*cluster.members, gold)) if has_gold else cluster
        return AnswerCluster(
            members=tuple(self._answers[place][0] for place in cluster.members),
            has_gold=has_gold,
            answer=render(self._answers[cluster.representative][1]),
            tier=whole.tier,
        )

    def _without_gold(self, gold: Ballot) -> Verdict:
        detail = f": {gold.detail.rstrip('.')}." if gold.detail else "."
        if gold.outcome == "failed":
            return self._verdict("execution_failed", f"The code of the gold trace failed to the end{detail}")
        if gold.outcome == "no_answer":
            return self._verdict("too_hard", f"The gold trace gave no usable answer{detail}")
        return self._verdict("budget", f"The gold trace was cut off{detail}")

    def _explain(self, name: VerdictName) -> str:
        tally = self._tally
        of = f"{self.need} of the {self.planned} planned traces must agree"
        if name == "verified":
            return f"{tally.agree} independent traces agree{' with the gold answer' if self.hinted else ''}; {of}."
        if name == "hint_misleading":
            return f"{tally.largest} independent traces agree on another answer than the gold one; {of}."
        if name == "budget":
            return f"{_traces(tally.cut_off)} cut off ({self._cut_off_detail()}) before a quorum was reached; {of}."
        if name == "ambiguous":
            return f"{_traces(tally.answered)} answered and at most {tally.largest} of them agree; {of}."
        cut = sum(ballot.detail == CUT_BY_LENGTH for _, ballot in self.ballots)
        because = f", {cut} of them as {CUT_BY_LENGTH}" if cut else ""
        ends = f"{tally.failed} failed in their code, {tally.no_answer} found no answer{because}"
        return f"{_traces(tally.answered)} answered ({ends}); {of}."

    def _cut_off_detail(self) -> str:
        details = sorted(
            {b.detail.rstrip(".") or b.outcome for _, b in self.ballots if b.outcome in ("budget", "error")}
        )
        return "; ".join(details)


def _traces(count: int) -> str:
    return several(count, "independent trace")
