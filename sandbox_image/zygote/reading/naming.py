"""Names of columns and counts, as they are told in a sentence."""

from __future__ import annotations

from collections.abc import Sequence


def unique(names: Sequence[str]) -> list[str]:
    """The names, those that occur again with a number behind them."""
    seen: set[str] = set()
    counts: dict[str, int] = {}
    result = []
    for name in names:
        candidate = name
        while candidate in seen:
            counts[name] = counts.get(name, 0) + 1
            candidate = f"{name}.{counts[name]}"
        seen.add(candidate)
        result.append(candidate)
    return result


def short(name: str) -> str:
    """A name cut for a sentence."""
    return name if len(name) <= 60 else name[:57] + "..."


def several(count: int, noun: str) -> str:
    """A count with its noun: `1 row`, `2,000 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def times(count: int) -> str:
    """How often something occurs: `once`, `2 times`."""
    return "once" if count == 1 else f"{count:,} times"


def listed(names: Sequence[str]) -> str:
    """Columns by name, as the subject of a sentence: `Column 'a'`, `Columns 'a', 'b' and 3 more`."""
    shown = [repr(short(name)) for name in names[:4]]
    if len(names) > 4:
        return f"Columns {', '.join(shown)} and {len(names) - 4:,} more"
    if len(shown) == 1:
        return f"Column {shown[0]}"
    return f"Columns {', '.join(shown[:-1])} and {shown[-1]}"
