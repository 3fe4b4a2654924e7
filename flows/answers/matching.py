"""Maximum matching between two collections, so that pairing never depends on the order of arrival."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def matching_size(edges: Sequence[Sequence[int]], right: int) -> int:
    """The most pairs that can be made at once.

    Args:
        edges: For each element on the left, the elements on the right it may be paired with.
        right: How many elements there are on the right.
    """
    partner: list[int | None] = [None] * right
    return sum(_augment(start, edges, partner) for start in range(len(edges)))


def _augment(start: int, edges: Sequence[Sequence[int]], partner: list[int | None]) -> bool:
    """Finds `start` a place by a shortest chain of re-pairings; says whether there was one."""
    reached_from: dict[int, int] = {}
    waiting = deque([start])
    taken: dict[int, int] = {}
    while waiting:
        left = waiting.popleft()
        for place in edges[left]:
            if place in reached_from:
                continue
            reached_from[place] = left
            holder = partner[place]
            if holder is None:
                _re_pair(place, start, reached_from, taken, partner)
                return True
            taken[holder] = place
            waiting.append(holder)
    return False


def _re_pair(
    place: int, start: int, reached_from: dict[int, int], taken: dict[int, int], partner: list[int | None]
) -> None:
    while True:
        left = reached_from[place]
        partner[place] = left
        if left == start:
            return
        place = taken[left]
