"""Chooses what to ask of a table: for every template that applies, up to three bindings that differ."""

from __future__ import annotations

from collections import Counter
from random import Random

from flows.questions.candidates import Candidate
from flows.questions.templates.catalogue import TEMPLATES
from flows.questions.templates.columns import Columns, columns_of, eligible_columns
from flows.questions.templates.template import Binding, Template, bound_columns
from flows.tables.profiling import DatasetProfile

CATALOGUE_VERSION = 3
"""Changes whenever a template's text, program or answer does."""
MAX_BINDINGS = 3
"""Questions one template asks of one table."""


def propose_templates(profile: DatasetProfile, *, seed: int) -> list[Candidate]:
    """Template questions about a table, in the order of the catalogue; equal arguments give equal candidates.

    Args:
        profile: The table's profile.
        seed: Chooses columns and parameters where there is a choice.
    """
    found = eligible_columns(profile)
    proposed = []
    for template in TEMPLATES:
        # A generator of its own: a template added to the catalogue leaves what the others ask as it is.
        rng = Random(f"{seed}/{template.name}")
        chosen = _chosen(template, columns_of(profile, found, rng), rng)
        proposed += [
            template.fill(binding, number=number, version=CATALOGUE_VERSION)
            for number, binding in enumerate(chosen, start=1)
        ]
    return proposed


def _chosen(template: Template, table: Columns, rng: Random) -> list[Binding]:
    bindings = list(template.bind(table, rng))
    rng.shuffle(bindings)
    return _varied(bindings)


def _varied(bindings: list[Binding]) -> list[Binding]:
    """Up to three bindings, each about columns the ones before it used least."""
    left = list(bindings)
    used: Counter[str] = Counter()
    chosen: list[Binding] = []
    while left and len(chosen) < MAX_BINDINGS:
        best = min(left, key=lambda binding: sum(used[name] for name in bound_columns(binding)))
        chosen.append(best)
        used.update(bound_columns(best))
        left = [binding for binding in left if set(bound_columns(binding)) != set(bound_columns(best))]
    return chosen
