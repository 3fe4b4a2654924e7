"""The recorded run that the demo replays: which datasets and questions, which options, and the journal of replies."""

from __future__ import annotations

import json
from pathlib import Path

from flows.samples import FOLDER, SLUGS, dataset_folder, question_file
from flows.verification.options import EpisodeOptions

RECORDING = FOLDER / "recording"
JOURNAL = RECORDING / "journal.jsonl"
OPTIONS = RECORDING / "recording.json"

# What decides which calls are made; the rest (runtime, parallelism, limits) is the replaying machine's own.
_RECORDED = frozenset(
    {"model", "base_url", "temperature", "top_p", "max_tokens", "seed", "prompt", "act", "max_turns", "traces"}
    | {"stop_early", "cell_timeout"}
)


def recorded_options(options: EpisodeOptions) -> EpisodeOptions:
    """The options of the recorded run, with what does not change its calls taken from `options`."""
    recorded = EpisodeOptions.model_validate(json.loads(OPTIONS.read_text())["options"])
    values = {name: getattr(recorded, name) for name in _RECORDED}
    return options.model_copy(update={**values, "offline": True})


def samples() -> list[tuple[Path, Path]]:
    """(dataset, question file) of every bundled dataset, in the order of the demo."""
    return [(dataset_folder(slug) / "data.csv", question_file(slug)) for slug in SLUGS]
