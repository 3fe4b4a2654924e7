"""One real zygote for all tests at the wire, and a fresh session for each."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox_image.zygote.protocol import Kind
from tests.sandbox_image.driver import Outcome, Zygote

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def zygote(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    """A zygote with a small dataset. Its exit code and its empty scratch folder are part of every run's outcome."""
    started = Zygote(tmp_path_factory.mktemp("scratch"))
    started.receive(Kind.HELLO)
    assert started.load().kind == Kind.LOADED
    yield started
    assert started.close() == 0
    assert not started.scratch.exists() or not list(started.scratch.iterdir())


@pytest.fixture
def session(zygote: Zygote) -> Iterator[int]:
    """The number of an open session with the usual limits."""
    number = next(_numbers)
    assert zygote.open(number).kind == Kind.OPENED
    yield number
    zygote.shut(number)


@pytest.fixture
def sibling(zygote: Zygote) -> Iterator[int]:
    """A second one, which nothing the first does may touch."""
    number = next(_numbers)
    assert zygote.open(number).kind == Kind.OPENED
    zygote.run(number, "mark = 42")
    yield number
    assert zygote.run(number, "mark").value == "42"
    zygote.shut(number)


@pytest.fixture
def run(zygote: Zygote, session: int) -> Callable[..., Outcome]:
    """Run a cell in the session."""

    def call(code: str, **options: Any) -> Outcome:
        return zygote.run(session, code, **options)

    return call
