"""The catalogue: every template, the easiest first."""

from __future__ import annotations

from flows.questions.records import Difficulty
from flows.questions.templates import (
    comparisons,
    groups,
    one_measure,
    over_time,
    several_measures,
    texts,
    whole_table,
)
from flows.questions.templates.template import Template

_LEVELS: tuple[Difficulty, ...] = ("easy", "medium", "hard", "very_hard")

TEMPLATES: tuple[Template, ...] = tuple(
    sorted(
        (
            *whole_table.TEMPLATES,
            *one_measure.TEMPLATES,
            *several_measures.TEMPLATES,
            *groups.TEMPLATES,
            *comparisons.TEMPLATES,
            *texts.TEMPLATES,
            *over_time.TEMPLATES,
        ),
        key=lambda template: _LEVELS.index(template.difficulty),
    )
)
