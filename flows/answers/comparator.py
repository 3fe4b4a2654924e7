"""The comparator: whether two typed answers are the same answer, how closely they match, and why not if they do not."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

from flows.answers.answers import Answer, render
from flows.answers.folding import fold_label
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
    Table,
    Text,
    canonical,
    holds_gap,
    is_nan,
    render_node,
    with_article,
)
from flows.answers.signatures import key_text, moment_text, order, signature
from flows.answers.tiers import TIERS, Tier, number_tier, rank, weakest
from flows.questions.records import AnswerSpec, ValueSpec

COMPARATOR_VERSION = "2"
"""Changes whenever any pair of answers could compare differently; part of the episode key."""

Asked = ValueSpec | tuple[ValueSpec, ...]
"""What is asked for at a place: of one value, or of each column of a row."""
MAX_STEPS = 600_000
"""Values one comparison looks at before it gives up."""
MAX_PAIRS = 40_000
"""Pairs a matching without order tries; larger ones are paired in sorted order."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome of comparing two answers.

    Attributes:
        equal: Whether they count as the same answer.
        tier: How closely they match; the loosest of all parts. `none` if they do not.
        reason: Why they differ or match only loosely, one sentence; empty for a match that is `equal`.
    """

    equal: bool
    tier: Tier
    reason: str = ""


def compare(a: Answer, b: Answer, spec: AnswerSpec, *, accept: Tier = "tolerance") -> Comparison:
    """Compares two answers to one question.

    Symmetric, deterministic and bounded in cost; every usable answer equals itself. Never raises for what the answers
    hold. NaN and infinity equal nothing, not even themselves, but for NaN where the other answer says that a value is
    missing, and in the cells of tables.

    Args:
        a: One answer, parsed with the same `spec`.
        b: The other answer.
        spec: What the question asks for: type, decimals, case, order of rows.
        accept: The loosest tier that counts as equal.
    """
    if not (a.comparable and b.comparable):
        return Comparison(False, "none", "An object that has no comparable value equals nothing.")
    if problem := _verifies_nothing(a, b):
        return Comparison(False, "none", problem)
    # One order for both directions: the outcome cannot depend on which answer came first.
    first, second = sorted((a, b), key=lambda answer: answer.canonical)
    coerced: Tier = "canonical" if a.coercions or b.coercions else "exact"
    if first.canonical == second.canonical:
        return _outcome(coerced, accept, first, second, "")
    comparer = _Comparer(spec)
    try:
        found = comparer.tier(first.node, second.node, comparer.whole)
    except _TooCostly as error:
        return Comparison(False, "none", f"The answers are too large to compare: {error}.")
    return _outcome(weakest((found, coerced)), accept, first, second, comparer.why)


def matches_itself(answer: Answer, spec: AnswerSpec) -> Comparison:
    """Whether an answer can serve as a reference: it must be usable and equal to itself."""
    if not answer.usable:
        return Comparison(False, "none", answer.problem)
    return compare(answer, answer, spec)


def _outcome(tier: Tier, accept: Tier, a: Answer, b: Answer, why: str) -> Comparison:
    if tier != "none" and rank(tier) <= rank(accept):
        return Comparison(True, tier)
    return Comparison(False, tier, why or f"{render(a, 60)} and {render(b, 60)} match at no tier closer than {tier}.")


def _verifies_nothing(a: Answer, b: Answer) -> str:
    """Why two answers are not equal whatever else they hold: infinity, or NaN where the other has no gap."""
    bad = [(one, other) for one, other in ((a, b), (b, a)) if one.flaw]
    if any(one.flaw == "infinity" for one, _ in bad):
        return "Infinity is no result that an answer can be checked by."
    if not bad or (len(bad) == 1 and not is_nan(bad[0][0].node) and holds_gap(bad[0][1].node)):
        return ""
    return "NaN is no result that an answer can be checked by."


class _TooCostly(Exception):
    """A comparison that would take longer than it may."""


class _Comparer:
    """Compares nodes by the rules of one answer spec, and keeps the first difference it meets on a sure path."""

    def __init__(self, spec: AnswerSpec) -> None:
        self.spec = spec
        self.whole = ValueSpec(type=spec.type, decimals=spec.decimals, unit=spec.unit, scale=spec.scale)
        self.why = ""
        self._by_key = {fold_label(key, case_sensitive=spec.case_sensitive): own for key, own in spec.by_key.items()}
        self._items = spec.of_items()
        self._left = MAX_STEPS
        self._path: list[str] = []
        self._quiet = 0

    def tier(self, a: Node, b: Node, asked: Asked, *, inside: bool = False) -> Tier:
        """How closely two nodes match; `asked` is what is asked for at this place, or in each column of a row."""
        self._left -= 1
        if self._left < 0:
            raise _TooCostly(f"more than {MAX_STEPS} values to look at")
        found = self._scalar(a, b, asked, inside) if isinstance(asked, ValueSpec) else None
        if found is None:
            found = self._compound(a, b, asked)
        if found in ("loose", "none"):
            self._differ(a, b)
        return found

    def _scalar(self, a: Node, b: Node, asked: ValueSpec, inside: bool) -> Tier | None:
        if isinstance(a, Number) and isinstance(b, Number):
            return number_tier(a, b, asked.type, asked.decimals, asked.scale)
        if isinstance(a, Text) and isinstance(b, Text):
            return self._text(a.value, b.value)
        if isinstance(a, Day | Moment) and isinstance(b, Day | Moment):
            same = moment_text(a) == moment_text(b)
            return "none" if not same else "exact" if a.kind == b.kind else "canonical"
        if isinstance(a, Duration) and isinstance(b, Duration):
            return number_tier(Number(a.value), Number(b.value), "float", None)
        if isinstance(a, Flag) and isinstance(b, Flag):
            return "exact" if a.value == b.value else "none"
        if isinstance(a, Missing) and isinstance(b, Missing):
            return "exact"
        if inside and (isinstance(a, Missing) or isinstance(b, Missing)) and (is_nan(a) or is_nan(b)):
            # pandas writes one missing value as NaN or as NA, depending on the column's type.
            return "canonical"
        return None

    def _text(self, a: str, b: str) -> Tier:
        if a == b:
            return "exact"
        case = self.spec.case_sensitive
        return "canonical" if fold_label(a, case_sensitive=case) == fold_label(b, case_sensitive=case) else "none"

    def _compound(self, a: Node, b: Node, asked: Asked) -> Tier:
        if isinstance(a, Listing) and isinstance(b, Listing):
            # Of a row, something is asked of each column; otherwise it is asked of every element.
            return self._in_order(a.items, b.items, repeat(self._items) if isinstance(asked, ValueSpec) else asked)
        if isinstance(a, Collection) and isinstance(b, Collection):
            return self._any_order(_distinct(a.items), _distinct(b.items), self._items)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            return self._mappings(a, b, outermost=asked is self.whole)
        if isinstance(a, Table) and isinstance(b, Table):
            return self._tables(a, b)
        return "none"

    def _in_order(self, a: Sequence[Node], b: Sequence[Node], asked: Iterable[Asked], what: str = "elements") -> Tier:
        """Place by place; `asked` has what is asked for at each."""
        if len(a) != len(b):
            return self._say(f"there are {len(a)} and {len(b)} {what}")
        found: Tier = "exact"
        for place, (left, right, own) in enumerate(zip(a, b, asked, strict=False)):
            with self._at(f"[{place}]"):
                found = weakest((found, self.tier(left, right, own, inside=True)))
            if found == "none":
                break
        return found

    def _any_order(self, a: Sequence[Node], b: Sequence[Node], asked: Asked) -> Tier:
        if len(a) != len(b):
            return self._say(f"there are {len(a)} and {len(b)} elements")
        if Counter(map(canonical, a)) == Counter(map(canonical, b)):
            return "exact"
        case = self.spec.case_sensitive
        left, right = _grouped(a, case), _grouped(b, case)
        for key in sorted(left.keys() | right.keys()):
            if len(left[key]) != len(right[key]):
                example = min(left[key] or right[key], key=canonical)
                return self._say(f"{render_node(example, 60)} is found {len(left[key])} and {len(right[key])} times")
        with self._silence():
            return weakest(self._pair_off(left[key], right[key], asked) for key in sorted(left))

    def _pair_off(self, a: list[Node], b: list[Node], asked: Asked) -> Tier:
        """The closest tier at which every element of one group finds its own partner in the other."""
        if len(a) * len(b) > MAX_PAIRS:
            return self._pair_sorted(a, b, asked)
        tiers = [[rank(self.tier(left, right, asked, inside=True)) for right in b] for left in a]
        for limit, tier in enumerate(TIERS[:-1]):
            edges = [[place for place, found in enumerate(row) if found <= limit] for row in tiers]
            if all(edges) and matching_size(edges, len(b)) == len(a):
                return tier
        return "none"

    def _pair_sorted(self, a: list[Node], b: list[Node], asked: Asked) -> Tier:
        # A pairing found this way is a pairing; that none was found proves nothing, so it is said to be unknown.
        left, right = self._sorted(a, asked), self._sorted(b, asked)
        pairs = zip(left, right, strict=True)
        found: Tier = "exact"
        for one, other in pairs:
            found = weakest((found, self.tier(one, other, asked, inside=True)))
            if found == "none":
                raise _TooCostly(f"{len(a)} elements without order that differ only in their numbers")
        return found

    def _sorted(self, nodes: list[Node], asked: Asked) -> list[Node]:
        parts = (asked,) if isinstance(asked, ValueSpec) else asked
        return sorted(nodes, key=lambda node: order(node, parts, case_sensitive=self.spec.case_sensitive))

    def _mappings(self, a: Mapping, b: Mapping, *, outermost: bool) -> Tier:
        left, right = self._grouped_by_key(a), self._grouped_by_key(b)
        for key in sorted(left.keys() | right.keys()):
            if len(left[key]) != len(right[key]):
                return self._say(f"the key {key[:60]!r} is found {len(left[key])} and {len(right[key])} times")
        same_keys = {canonical(k) for k, _ in a.pairs} == {canonical(k) for k, _ in b.pairs}
        found: Tier = "exact" if same_keys else "canonical"
        for key in sorted(left):
            asked = self._by_key.get(key, self._items) if outermost else self._items
            with self._at(f"[{key[:60]!r}]"):
                found = weakest((found, self._values(left[key], right[key], asked)))
            if found == "none":
                break
        return found

    def _values(self, a: list[Node], b: list[Node], asked: ValueSpec) -> Tier:
        return self.tier(a[0], b[0], asked, inside=True) if len(a) == 1 else self._any_order(a, b, asked)

    def _grouped_by_key(self, mapping: Mapping) -> defaultdict[str, list[Node]]:
        groups: defaultdict[str, list[Node]] = defaultdict(list)
        for key, value in mapping.pairs:
            groups[key_text(key, case_sensitive=self.spec.case_sensitive)].append(value)
        return groups

    def _tables(self, a: Table, b: Table) -> Tier:
        if (a.index is None) != (b.index is None) or len(a.columns) != len(b.columns):
            return self._say("the tables have different columns")
        places = self._same_columns(a, b)
        if places is None:
            return self._say(f"the columns are {render_node(Listing(a.columns))} and {render_node(Listing(b.columns))}")
        left, right = _rows(a, range(len(a.columns))), _rows(b, places)
        named: Tier = "exact" if list(map(canonical, a.columns)) == list(map(canonical, b.columns)) else "canonical"
        columns = self._columns(a)
        if self.spec.ordered_rows:
            return weakest((named, self._in_order(left, right, repeat(columns), "rows")))
        return weakest((named, self._any_order(left, right, columns)))

    def _columns(self, table: Table) -> tuple[ValueSpec, ...]:
        """What is asked of each column of its rows; of row labels, which come first, nothing by name."""
        case, rest = self.spec.case_sensitive, self._items.model_copy(update={"type": "any"})
        own = tuple(self._by_key.get(key_text(name, case_sensitive=case), rest) for name in table.columns)
        return own if table.index is None else (rest, *own)

    def _same_columns(self, a: Table, b: Table) -> Sequence[int] | None:
        """Where each column of `a` is in `b`; None if they have not the same names."""
        case = self.spec.case_sensitive
        left = [key_text(name, case_sensitive=case) for name in a.columns]
        right = [key_text(name, case_sensitive=case) for name in b.columns]
        if left == right:
            return range(len(right))
        if sorted(left) != sorted(right) or len(set(left)) < len(left):
            return None
        return [right.index(name) for name in left]

    # Telling why

    @contextmanager
    def _at(self, step: str) -> Iterator[None]:
        self._path.append(step)
        try:
            yield
        finally:
            self._path.pop()

    @contextmanager
    def _silence(self) -> Iterator[None]:
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    def _say(self, text: str) -> Tier:
        if not self._quiet and not self.why:
            place = f"At {''.join(self._path)}: " if self._path else ""
            self.why = f"{place}{text[:1].upper() if not place else text[:1]}{text[1:]}."
        return "none"

    def _differ(self, a: Node, b: Node) -> None:
        if a.kind == b.kind or {a.kind, b.kind} == {"int", "float"}:
            self._say(f"{render_node(a, 60)} and {render_node(b, 60)} differ")
        else:
            self._say(
                f"{render_node(a, 60)} is {with_article(a.kind)} and {render_node(b, 60)} is {with_article(b.kind)}"
            )


def _distinct(nodes: tuple[Node, ...]) -> list[Node]:
    return list({canonical(node): node for node in nodes}.values())


def _grouped(nodes: Sequence[Node], case_sensitive: bool) -> defaultdict[str, list[Node]]:
    groups: defaultdict[str, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[signature(node, case_sensitive=case_sensitive)].append(node)
    return groups


def _rows(table: Table, places: Sequence[int]) -> list[Node]:
    labels = table.index or ()
    rows = (tuple(row[place] for place in places) for row in table.rows)
    if table.index is None:
        return [Listing(row) for row in rows]
    return [Listing((label, *row)) for label, row in zip(labels, rows, strict=True)]
