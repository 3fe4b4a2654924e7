"""Sampling parameters from the columns of a row."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from blocks.chat.models import Sampling
from blocks.errors import UserError

_OWN: Mapping[str, Callable[[str], Any]] = {
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "seed": int,
    "stop": lambda text: _words(text),
}
_FURTHER: Mapping[str, Callable[[str], Any]] = {
    "top_k": int,
    "min_p": float,
    "frequency_penalty": float,
    "presence_penalty": float,
    "repetition_penalty": float,
    "reasoning_effort": str,
}
COLUMNS = (*_OWN, *_FURTHER)
"""Columns that reach the API; they are variables too."""
_OLLAMA = {"repetition_penalty": "repeat_penalty"}


class Asked(NamedTuple):
    """How a row's answer is sampled."""

    sampling: Sampling
    extra: dict[str, Any]
    """Parameters beside those every provider has, as this one wants them."""


def asked_sampling(
    provider: str, variables: Mapping[str, str], *, defaults: Sampling, plain: Collection[str] = ()
) -> Asked:
    """Read a row's columns; an empty cell leaves the default.

    Args:
        provider: Where it is asked.
        variables: The row.
        defaults: Of parameters the row does not give.
        plain: Columns that are no parameters.

    Raises:
        UserError: A value is none that the parameter can have.
    """
    given = {name: variables[name].strip() for name in COLUMNS if name not in plain and variables.get(name, "").strip()}
    if not given:
        return Asked(defaults, {})
    own = {name: _value(name, text, _OWN[name]) for name, text in given.items() if name in _OWN}
    extra = {name: _value(name, text, _FURTHER[name]) for name, text in given.items() if name in _FURTHER}
    try:
        sampling = Sampling.model_validate({**defaults.model_dump(), **own})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{first['loc'][0]} cannot be {first['input']!r}: {first['msg'].lower()}.") from error
    if provider == "ollama" and extra:
        effort = {name: value for name, value in extra.items() if name == "reasoning_effort"}
        options = {_OLLAMA.get(name, name): value for name, value in extra.items() if name not in effort}
        extra = {**effort, **({"options": options} if options else {})}
    return Asked(sampling, extra)


def _value(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        remedy = f"Where the column is a variable only, say --plain {name}."
        raise UserError(f"{name} cannot be {text!r}.", remedy) from error


def _words(text: str) -> list[str]:
    """One stop word, or a JSON list of them."""
    if text.startswith("["):
        words = json.loads(text)
        if not isinstance(words, list):
            raise ValueError(text)
        return [str(word) for word in words]
    return [text]
