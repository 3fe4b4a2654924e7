"""Make the recording that the demo replays from a home in which a live model has answered the bundled questions.

    TRIGPOINT_HOME=/tmp/recording python flows/episode.py flows/samples/SLUG --questions … --model … (for each dataset)
    python -m flows.samples.record /tmp/recording about.json

`about.json` says what was recorded: the options of the run, and which weights answered, where and when. Replies are
copied as they came; the program only picks those the episodes rest on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from blocks.chat.journal import Journal
from flows.samples import SLUGS, dataset_folder
from flows.samples.recording import JOURNAL, OPTIONS, RECORDING
from flows.tables.dataset import read_dataset
from flows.verification.former import episode_file
from flows.verification.options import EpisodeOptions
from flows.verification.store import read_episodes


def record(home: Path, about: Path, folder: Path = RECORDING) -> int:
    """Write the recording; returns how many replies it holds.

    Args:
        home: TRIGPOINT_HOME of the live runs.
        about: JSON file: an object with `options` and whatever else is to be known about the recording.
        folder: Where the recording goes.

    Raises:
        ValueError: The options are none, or a dataset has no episodes.
    """
    facts = json.loads(about.read_text())
    EpisodeOptions.model_validate(facts["options"])
    keys: set[str] = set()
    for slug in SLUGS:
        episodes = list(read_episodes(episode_file(home, read_dataset(dataset_folder(slug)))))
        if not episodes:
            raise ValueError(f"there are no episodes of {slug} in {home}")
        traces = [trace for episode in episodes for trace in episode.attempts]
        keys |= {message.call.key for trace in traces for message in trace.messages if message.call is not None}
    folder.mkdir(exist_ok=True)
    with Journal(home / "store.db") as journal:
        count = asyncio.run(journal.export_jsonl(folder / JOURNAL.name, keys))
    (folder / OPTIONS.name).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    return count


def main() -> None:
    """Run `record` from the shell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("about", type=Path)
    options = parser.parse_args()
    count = record(options.home, options.about)
    parser.exit(0, f"{count} replies in {JOURNAL}\n")


if __name__ == "__main__":
    main()
