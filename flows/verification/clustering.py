"""Complete-link clusters of answers that do not depend on the order in which the answers arrived.

Equality with room for rounding is not transitive, so "the cluster of an answer" needs a definition. Here a cluster is a
set of answers that all match each other (a clique of the match graph). Clusters are taken one after the other: the
largest clique of what is left first; among equally large ones the one that matches most closely, then the first in the
order of the canonical forms. Only answers with equal canonical forms can change places, and those belong to the same
cliques, so the clusters are the same for every order of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flows.answers.answers import Answer
from flows.answers.comparator import compare
from flows.answers.tiers import Tier, rank, weakest
from flows.questions.records import AnswerSpec

MAX_ANSWERS = 32
"""Answers that can be clustered exactly in no time; far above any number of traces."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Answers that all match each other.

    Attributes:
        members: Positions of the answers, ascending.
        representative: Position of the member that stands for all: the first in the order of the canonical forms.
        tier: The loosest tier at which two members match; `exact` for a single one.
    """

    members: tuple[int, ...]
    representative: int
    tier: Tier


class MatchGraph:
    """Which of some answers match each other, and how closely.

    Args:
        answers: At most `MAX_ANSWERS` answers to one question.
        spec: What the question asks for.
        accept: The loosest tier that counts as a match.

    Raises:
        ValueError: There are more than `MAX_ANSWERS` answers.
    """

    def __init__(self, answers: Sequence[Answer], spec: AnswerSpec, *, accept: Tier = "tolerance") -> None:
        if len(answers) > MAX_ANSWERS:
            raise ValueError(f"{len(answers)} answers cannot be clustered at once, {MAX_ANSWERS} can")
        self.answers = tuple(answers)
        self._tiers: dict[tuple[int, int], Tier] = {}
        self._neighbours = [0] * len(answers)
        for a in range(len(answers)):
            for b in range(a + 1, len(answers)):
                found = compare(answers[a], answers[b], spec, accept=accept)
                if found.equal:
                    self._tiers[a, b] = found.tier
                    self._neighbours[a] |= 1 << b
                    self._neighbours[b] |= 1 << a

    def match(self, a: int, b: int) -> bool:
        """Whether two different answers match."""
        return bool(self._neighbours[a] >> b & 1)

    def largest(self, among: Iterable[int], *, around: int | None = None) -> tuple[int, ...]:
        """The canonical largest clique.

        Args:
            among: Positions it may be made of.
            around: Position of an answer that every member must match; it is not a member itself.

        Returns:
            The members' positions, ascending; empty if there are none.
        """
        mask = sum(1 << place for place in set(among))
        if around is not None:
            mask &= self._neighbours[around]
        cliques = [_places(clique) for clique in self._maximal(0, mask, 0)]
        return min(cliques, key=self._preference, default=())

    def clusters(self, among: Iterable[int]) -> tuple[Cluster, ...]:
        """All the answers at these positions, in clusters, the largest first."""
        left = set(among)
        found: list[Cluster] = []
        while left:
            members = self.largest(left)
            found.append(self.cluster(members))
            left -= set(members)
        return tuple(found)

    def cluster(self, members: Sequence[int]) -> Cluster:
        """The cluster of given members, which must all match each other."""
        representative = min(members, key=lambda place: (self.answers[place].canonical, place))
        return Cluster(tuple(sorted(members)), representative, self._tier(members))

    def _tier(self, members: Sequence[int]) -> Tier:
        return weakest(self._tiers[a, b] for a in members for b in members if a < b)

    def _preference(self, members: tuple[int, ...]) -> tuple[int, int, list[str], tuple[int, ...]]:
        forms = sorted(self.answers[place].canonical for place in members)
        return -len(members), rank(self._tier(members)), forms, members

    def _maximal(self, clique: int, candidates: int, done: int) -> Iterator[int]:
        """Bron and Kerbosch's search with a pivot; sets are bit masks."""
        if not candidates:
            if clique and not done:
                yield clique
            return
        pivot = max(_places(candidates | done), key=lambda place: (candidates & self._neighbours[place]).bit_count())
        for place in _places(candidates & ~self._neighbours[pivot]):
            near = self._neighbours[place]
            yield from self._maximal(clique | 1 << place, candidates & near, done & near)
            candidates &= ~(1 << place)
            done |= 1 << place


def _places(mask: int) -> tuple[int, ...]:
    return tuple(place for place in range(mask.bit_length()) if mask >> place & 1)
