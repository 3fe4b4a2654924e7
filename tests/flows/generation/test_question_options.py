"""The options of a question run: what they mean for sources, wording, model and sessions."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from blocks.errors import UserError
from flows.generation.options import QuestionOptions


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ("template", ("template",)),
        ("template,program", ("template", "program")),
        (["program , llm"], ("program", "llm")),
        (("template", "llm"), ("template", "llm")),
    ],
)
def test_sources_may_be_parted_by_commas(given: Any, sources: tuple[str, ...]) -> None:
    assert QuestionOptions(source=given).source == sources


@pytest.mark.parametrize("given", ["", "templates", [], 3, [1]])
def test_no_source_and_strange_ones_are_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        QuestionOptions(source=given)


@pytest.mark.parametrize(
    ("given", "asks", "rewords"),
    [
        ({}, False, False),
        ({"model": "ollama/m"}, True, True),
        ({"model": "ollama/m", "wording": "plain"}, False, False),
        ({"wording": "model"}, True, True),
        ({"model": "ollama/m", "source": "llm"}, True, False),
        ({"source": "template,llm", "wording": "plain"}, True, False),
    ],
)
def test_when_a_model_is_asked(given: dict[str, Any], asks: bool, rewords: bool) -> None:
    options = QuestionOptions(**given)
    assert (options.asks_a_model, options.rewords) == (asks, rewords)


def test_a_model_that_is_needed_and_not_named_is_said() -> None:
    with pytest.raises(UserError, match="No model is named"):
        QuestionOptions(source=("llm",)).model_spec()


def test_what_a_model_makes_comes_last() -> None:
    options = QuestionOptions(source=("llm", "program", "template"), model="openai/m")
    assert [recipe.source for recipe in options.recipes()] == ["program", "template", "llm"]


def test_only_the_llm_source_depends_on_the_model() -> None:
    options = QuestionOptions(source=("template", "llm"), model="openai/m")
    template, llm = options.recipes(options.asking("m", "here"))
    assert template.asking is None
    assert llm.asking is not None
    assert llm.asking.trace.sampling.max_tokens == 8192
    other = options.model_copy(update={"naming": "any"}).recipes(options.asking("m", "there"))
    assert other[0].key("d", "i", None) == template.key("d", "i", None)
    assert other[1].key("d", "i", None) != llm.key("d", "i", None)


def test_explorations_never_take_the_sessions_that_prove_their_questions() -> None:
    plain = QuestionOptions(parallel_programs=3)
    asking = QuestionOptions(parallel_programs=3, source=("llm",), model="openai/m")
    assert asking.sessions() - plain.sessions() >= 4
