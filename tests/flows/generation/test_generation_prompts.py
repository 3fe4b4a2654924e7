"""What a model is told while it makes questions: pinned to its version, complete, and the same each time."""

from __future__ import annotations

import pytest

from flows.generation import prompts
from flows.verification.attempts import TraceConfig

PINNED = {"2": "8010a9cf68e9c9dd50edf973118c3bbce2bdd48cfffdaea726ec67b7b3f9b093"}


def test_a_changed_text_is_a_new_version() -> None:
    digest = prompts.prompt_id("explore", TraceConfig(model="m")).sha256
    assert PINNED.get(prompts.PROMPT_VERSION) == digest, f"raise PROMPT_VERSION and pin {digest}"


def test_counts_and_focus() -> None:
    first = prompts.explore_task({"easy": 2, "medium": 1, "hard": 0, "very_hard": 0}, 0)
    assert first.startswith("Write 3 questions about this table: 2 easy, 1 medium.")
    assert "attention" not in first
    tasks = {prompts.explore_task({"easy": 1, "medium": 0, "hard": 0, "very_hard": 0}, n) for n in range(6)}
    assert len(tasks) == 6


@pytest.mark.parametrize("naming", ["plain", "never", "any"])
def test_a_wording_is_asked_for_with_the_question(naming: str) -> None:
    system, user = prompts.reword_messages("How many?", 3, naming)
    assert (system.role, user.role) == ("system", "user")
    assert "How many?" in user.content
    assert "3 different wordings" in user.content
    assert '{"wordings"' in user.content
