"""Words that stand for several computations, and what must be said beside them so that only one is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple


class _Convention(NamedTuple):
    spoken: re.Pattern[str]
    settled: re.Pattern[str]
    fault: str


def _convention(spoken: str, settled: str, fault: str) -> _Convention:
    flags = re.IGNORECASE | re.VERBOSE | re.DOTALL
    return _Convention(re.compile(spoken, flags), re.compile(settled, flags), fault)


_LEVEL = r"(?: 0?\.\d+ | \b\d+(?:\.\d+)?\s?% | \bper\s?cent )"
_TEST = r"\b(?: tests? | ANOVA | regression | Mann | Wilcoxon | Kruskal | chi | Kolmogorov | Shapiro | Levene )\b"

_CONVENTIONS = (
    _convention(
        r"\bstandard\ deviations?\b (?!\ (?:above|below|from|away|of\ the\ mean)) | \bvariances?\b"
        r" | \bcoefficients?\ of\ variation\b",
        r"\bsamples?\b | \bpopulations?\b | \bn\s?[-−–]\s?1\b | \bLevene | \bBartlett | \b(?:un)?equal\ variance"
        r" | \banalysis\ of\ variance\b | \bvariance\ (?:explained|inflation)\b | \bexplained\ variance\b",
        "it does not say whether the standard deviation or variance is that of a sample or of a population",
    ),
    _convention(
        r"\bcorrelat",
        r"\bPearson | \bSpearman | \bKendall | \bpoint[-\ ]biserial | \bautocorrelat",
        "it does not say which correlation: Pearson, Spearman or Kendall",
    ),
    _convention(
        r"\boutliers?\b | \bunusual(?:ly)?\b | \bextreme\ values?\b",
        r"\bIQR\b | \binterquartile\b | \bquartiles?\b | \bstandard\ deviations?\b | \bz-?scores?\b | \bpercentiles?\b"
        r" | \d | \bmedian\ absolute",
        "it does not say by which rule a value counts as an outlier",
    ),
    _convention(
        r"\bsignifican(?:t|tly|ce)\b (?!\ (?:figures?|digits?))",
        rf"{_TEST} .* {_LEVEL} | {_LEVEL} .* {_TEST}",
        "it does not say which test at which level decides what is significant",
    ),
    _convention(
        r"\b(?: several | a\ few | recent(?:ly)? | roughly | approximately | typical(?:ly)? )\b",
        r"(?!)",
        "it uses a word that two people would understand differently",
    ),
)


def open_conventions(text: str) -> Iterator[str]:
    """What a question leaves to its reader's habits, one sentence each.

    Args:
        text: The question.
    """
    for each in _CONVENTIONS:
        if each.spoken.search(text) and not each.settled.search(text):
            yield each.fault
