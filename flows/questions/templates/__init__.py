"""Template questions: a catalogue of questions with blanks, filled with the columns of a table they make sense for."""

from __future__ import annotations

from flows.questions.templates.proposing import CATALOGUE_VERSION, propose_templates

__all__ = ["CATALOGUE_VERSION", "propose_templates"]
