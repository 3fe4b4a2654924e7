"""The catalogue: every template, the easiest first."""

from __future__ import annotations

from flows.questions.records import Difficulty
from flows.questions.templates import comparisons, dates_and_texts, groups, one_measure, several_measures, whole_table
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
            *dates_and_texts.TEMPLATES,
        ),
        key=lambda template: _LEVELS.index(template.difficulty),
    )
)
