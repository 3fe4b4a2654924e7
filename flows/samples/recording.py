"""The recorded run that the demo replays: which datasets and questions, which options, and the journal of replies."""

from __future__ import annotations

import json
from collections.abc import Sequence

from flows.samples import FOLDER, SLUGS, dataset_folder, question_file
from flows.verification.batch import Job, with_slugs
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


def jobs_of(
    datasets: Sequence[str], questions: str | None, options: EpisodeOptions
) -> tuple[list[Job], EpisodeOptions]:
    """What a run is about: what the user names, else the bundled datasets, replayed unless a model is named.

    Raises:
        UserError: Datasets are named and no model.
    """
    if options.model is None and not datasets and questions is None:
        return bundled_jobs(), recorded_options(options)
    options.named_model()
    named = with_slugs([Job(dataset, questions) for dataset in datasets], options.reading)
    return named or bundled_jobs(), options


def bundled_jobs() -> list[Job]:
    """The bundled datasets with their questions."""
    return [Job(str(dataset_folder(slug) / "data.csv"), str(question_file(slug)), slug) for slug in SLUGS]
