"""Writes probes: the code that tells, from a program's variables, whether its answer is worth asking for."""

from __future__ import annotations


def probe(
    rows: str,
    *,
    smallest_group: str = "",
    margin: str = "",
    p_value: str = "",
    trivial: str = "",
    setup: str = "",
) -> str:
    """A cell that submits the facts by name; each argument is an expression over the program's variables.

    Args:
        rows: How many rows the answer rests on.
        smallest_group: How many rows the smallest group compared has.
        margin: The gap of winner and runner-up relative to the larger.
        p_value: The p-value of the test that is reported.
        trivial: Whether the answer says nothing.
        setup: Lines that come first.
    """
    given = {
        "rows": f"int({rows})",
        "smallest_group": f"int({smallest_group})" if smallest_group else "",
        "margin": f"float({margin})" if margin else "",
        "p_value": f"float({p_value})" if p_value else "",
        "trivial": f"bool({trivial})" if trivial else "",
    }
    pairs = ", ".join(f'"{name}": {code}' for name, code in given.items() if code)
    return "\n".join(line for line in (setup.strip(), f"submit({{{pairs}}})") if line)


def gap_at_top(series: str) -> tuple[str, str]:
    """Setup and margin for a question about the largest value of a Series; 0 for one that has no runner-up."""
    return _gap(f"{series}.nlargest(2)")


def gap_at_bottom(series: str) -> tuple[str, str]:
    """Setup and margin for a question about the smallest value of a Series; 0 for one that has no runner-up."""
    return _gap(f"{series}.nsmallest(2)")


def _gap(two: str) -> tuple[str, str]:
    return f"first_two = {two}", "abs(first_two.iloc[0] - first_two.iloc[-1]) / (first_two.abs().max() or 1)"
