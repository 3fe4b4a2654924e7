"""The comparison as an HTML page in one file: no script, nothing fetched, everything a model said escaped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from flows.matrix.plots import comparison_svg
from flows.matrix.report import ExperimentReport, cost_words
from flows.matrix.side_by_side import Side

TEMPLATE = "page.html.j2"
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.filters["cost"] = cost_words


def page(report: ExperimentReport, sides: Sequence[Side], *, title: str, prompt: str, more: bool) -> str:
    """The page.

    Args:
        report: What the experiment came to.
        sides: Answers side by side.
        title: Of what.
        prompt: The prompt as it was given, variables and all.
        more: Whether there are further prompts than those in `sides`.
    """
    return _PAGES.get_template(TEMPLATE).render(
        report=report,
        sides=sides,
        title=title,
        prompt=prompt,
        more=more,
        made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        # Made by matplotlib, which escapes what it is given.
        picture=Markup(comparison_svg(report.models)),
    )
