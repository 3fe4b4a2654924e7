"""Tiers: how closely two answers match, and when two numbers do."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from typing import Literal

from flows.answers.nodes import WIDE, Number
from flows.questions.records import AnswerType

Tier = Literal["exact", "canonical", "rounded", "tolerance", "loose", "none"]
TIERS: tuple[Tier, ...] = ("exact", "canonical", "rounded", "tolerance", "loose", "none")
"""From the closest match to no match at all."""

STRICT = Decimal("1e-6")
LOOSE = Decimal("1e-2")
_NOISE = Decimal("4e-15")
"""What the order of a floating-point sum can change, relative: about 18 units in the last place."""


def rank(tier: Tier) -> int:
    """The place of a tier, 0 for the closest."""
    return TIERS.index(tier)


def weakest(tiers: Iterable[Tier]) -> Tier:
    """The tier of a whole whose parts matched at these tiers; `exact` for no parts."""
    return max(tiers, key=rank, default="exact")


def number_tier(a: Number, b: Number, asked: AnswerType, decimals: int | None, scale: float | None = None) -> Tier:
    """How closely two numbers match.

    Two ints, and any numbers where an int is asked for, match only when equal. Otherwise, where the question asks for
    decimals, they match when equal after rounding; where it does not, within 1e-6 of the larger one, except that
    without a declared type an int and a float match only when equal. A relative difference of up to 1e-2 is `loose`.

    Where no decimals are asked for and the scale of the data is known, a difference that is no more than the noise of
    floats of that size is none: what is 0 in truth comes out of a sum as 1e-17, as 0.0 or as -3e-18.
    """
    if a.value.is_nan() or b.value.is_nan():
        return "exact" if a.value.is_nan() and b.value.is_nan() else "none"
    if a.value == b.value:
        return "exact" if a.kind == b.kind else "canonical"
    if a.value.is_infinite() or b.value.is_infinite() or asked == "int" or a.kind == b.kind == "int":
        return "none"
    if decimals is not None:
        if _round_alike(a, b, decimals):
            return "rounded"
    elif scale is not None and WIDE.subtract(a.value, b.value).copy_abs() <= floor(scale):
        return "tolerance"
    elif a.kind != b.kind and asked == "any":
        return "none"
    elif _close(a.value, b.value, STRICT):
        return "tolerance"
    return "loose" if _close(a.value, b.value, LOOSE) else "none"


def floor(scale: float) -> Decimal:
    """The largest difference that the noise of floats of this size explains."""
    return WIDE.multiply(Decimal(repr(scale)), _NOISE)


def _close(a: Decimal, b: Decimal, relative: Decimal) -> bool:
    room = WIDE.multiply(max(a.copy_abs(), b.copy_abs()), relative)
    return WIDE.subtract(a, b).copy_abs() <= room


def _round_alike(a: Number, b: Number, decimals: int) -> bool:
    noise = min(_noise(a), _noise(b))
    if WIDE.subtract(a.value, b.value).copy_abs() <= noise:
        return True
    first, second = roundings(a, decimals), roundings(b, decimals)
    if len(first) == len(second) == 2:
        # Two values half way between two steps share a neighbour although they are a whole step apart.
        return first == second
    return bool(set(first) & set(second))


def roundings(number: Number, decimals: int) -> tuple[Decimal, ...]:
    """What a finite number may be rounded to: one value, or two where it lies half way, as far as a float can tell."""
    steps = number.value.scaleb(decimals, WIDE)
    below = steps.to_integral_value(ROUND_FLOOR, WIDE)
    middle = WIDE.add(below, Decimal("0.5")).scaleb(-decimals, WIDE)
    if WIDE.subtract(number.value, middle).copy_abs() <= _noise(number):
        return below.scaleb(-decimals, WIDE), WIDE.add(below, Decimal(1)).scaleb(-decimals, WIDE)
    return (steps.to_integral_value(ROUND_HALF_EVEN, WIDE).scaleb(-decimals, WIDE),)


def _noise(number: Number) -> Decimal:
    return Decimal(0) if number.kind == "int" else WIDE.multiply(number.value.copy_abs(), _NOISE)
