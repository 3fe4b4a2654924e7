"""A template: text, hint, program and probe with blanks, and the slots that fill the blanks of all four at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from string import Template as Blanks

from flows.questions.candidates import Candidate
from flows.questions.eligible import Value, date_code, date_note, quoted
from flows.questions.records import AnswerSpec, Difficulty, ValueSpec
from flows.questions.rounding import places_words
from flows.questions.templates.columns import Columns
from flows.tables.profiling import ColumnProfile


@dataclass(frozen=True)
class Slot:
    """What one blank is filled with.

    Attributes:
        code: In the program and the probe, a Python expression.
        words: In the text and the hint.
        columns: The names of the columns it brings into the question.
        note: What the question must say of them at its end, one sentence.
    """

    code: str
    words: str
    columns: tuple[str, ...] = ()
    note: str = ""


Binding = Mapping[str, Slot]
"""A slot for every blank, by the blank's name. The blank `d` is the number of decimals the answer is rounded to."""

Binder = Callable[[Columns, Random], Iterator[Binding]]
"""All bindings that make sense for a table; draws only parameters from the generator, never the columns."""


@dataclass(frozen=True)
class Template:
    """One question with blanks.

    Blanks are written `$name`. They are filled in one pass, so a column's name is never read as a blank itself.

    Attributes:
        name: Unique in the catalogue.
        difficulty: How hard a solver is expected to find it.
        n_steps: Steps of a solution.
        tags: What the question is about.
        bind: The bindings that make sense for a table; none where the question does not apply to it.
        text: The question, complete in itself.
        hint: The steps in words, for the gold trace.
        program: pandas code on `df`.
        probe: Code run after the program; submits what makes the answer trustworthy.
        answer: What the answer looks like; decimals come from the blank `d`.
        guard: Code run before the program where a table may have no answer at all; submits facts as the probe does.
    """

    name: str
    difficulty: Difficulty
    n_steps: int
    tags: tuple[str, ...]
    bind: Binder
    text: str
    hint: str
    program: str
    probe: str
    answer: AnswerSpec
    guard: str = ""

    def fill(self, binding: Binding, *, number: int, version: int) -> Candidate:
        """The question with its blanks filled.

        Args:
            binding: A slot for every blank.
            number: The place of this binding among those chosen for the table, from 1.
            version: The version of the catalogue, kept in the provenance.

        Raises:
            KeyError: A blank has no slot.
        """
        words = {name: slot.words for name, slot in binding.items()}
        code = {name: slot.code for name, slot in binding.items()}
        notes = dict.fromkeys(slot.note for slot in binding.values() if slot.note)
        decimals = int(binding["d"].code) if "d" in binding else None
        return Candidate(
            name=f"{self.name}-{number}",
            source="template",
            text=" ".join([Blanks(_one_line(self.text)).substitute(words), *notes]),
            hint=Blanks(_one_line(self.hint)).substitute(words),
            program=Blanks(self.program).substitute(code).strip() + "\n",
            probe=Blanks(self.probe).substitute(code).strip() + "\n",
            guards=(Blanks(self.guard).substitute(code).strip(),) if self.guard else (),
            answer=self.answer.model_copy(update={"decimals": decimals}),
            difficulty=self.difficulty,
            n_steps=self.n_steps,
            tags=self.tags,
            # The first binding of every template comes before the second of any.
            interest=self.n_steps / 10 + 1 / number,
            provenance={
                "template": self.name,
                "catalogue_version": version,
                "columns": list(bound_columns(binding)),
                "slots": code,
            },
        )


def bound_columns(binding: Binding) -> tuple[str, ...]:
    """The columns a binding is about, each once, in the order of the slots."""
    return tuple(dict.fromkeys(name for slot in binding.values() for name in slot.columns))


def column(profile: ColumnProfile) -> Slot:
    """A column by its name."""
    return Slot(repr(profile.name), quoted(profile.name), (profile.name,))


def columns(profiles: tuple[ColumnProfile, ...]) -> Slot:
    """Several columns, named one by one."""
    names = tuple(profile.name for profile in profiles)
    return Slot(repr(list(names)), listed([quoted(name) for name in names]), names)


def dates(profile: ColumnProfile) -> Slot:
    """A column of dates: in code the expression that reads it as dates."""
    return Slot(date_code(profile), quoted(profile.name), (profile.name,), date_note(profile))


def value(given: Value) -> Slot:
    """A value of a category."""
    return Slot(repr(given), quoted(given) if isinstance(given, str) else str(given))


def number(given: float) -> Slot:
    """A number that reads the same in code and in words."""
    return Slot(repr(given), str(given))


def decimals(places: int) -> Slot:
    """How many decimals an answer is rounded to."""
    return Slot(str(places), places_words(places))


def labels(*keys: str) -> dict[str, ValueSpec]:
    """Keys of a mapping answer whose values are categories: 1, 1.0 and "1" name the same one."""
    return {key: ValueSpec(type="string") for key in keys}


def listed(words: list[str]) -> str:
    """Words as a sentence lists them: one, two and three."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _one_line(text: str) -> str:
    return " ".join(text.split())
