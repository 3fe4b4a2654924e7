"""Prints what `make mutants` found: for each module how many mutants there are, and how many the tests noticed.

Reads what mutmut keeps beside the changed sources. A mutant on which the tests do not end is noticed, too; one that no
test reaches is not.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "mutants"
NOTICED = {1, 3, 24, 36, 152, 255, -24}
"""Exit codes: a test failed, pytest itself failed, the time was up."""


def tally(folder: Path) -> dict[str, Counter[str]]:
    """By module: how many mutants were tried, noticed, and left untried."""
    found: dict[str, Counter[str]] = defaultdict(Counter)
    for path in sorted(folder.rglob("*.py.meta")):
        codes = json.loads(path.read_text(encoding="utf-8"))["exit_code_by_key"].values()
        module = path.relative_to(folder).as_posix().removesuffix(".meta")
        for code in codes:
            found[module]["untried" if code is None else "tried"] += 1
            found[module]["noticed"] += code in NOTICED
    return found


def table(found: dict[str, Counter[str]]) -> list[str]:
    """One line for each module, and one for each package."""
    packages: dict[str, Counter[str]] = defaultdict(Counter)
    for module, counts in found.items():
        packages[module.rpartition("/")[0] + "/"].update(counts)
    lines = [f"{'':46} mutants  killed   score"]
    for name, counts in sorted({**found, **packages}.items()):
        if counts["tried"]:
            rest = f"  ({counts['untried']} not tried)" if counts["untried"] else ""
            share = counts["noticed"] / counts["tried"]
            lines.append(f"{name:46} {counts['tried']:7} {counts['noticed']:7} {share:7.1%}{rest}")
    return lines


if __name__ == "__main__":
    rows = table(tally(FOLDER))
    if len(rows) == 1:
        sys.exit("No mutant has been tried: run `make mutants`.")
    print("\n".join(rows))
