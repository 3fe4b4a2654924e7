"""The options of a download run, and which sources a person named."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from blocks.errors import UserError
from blocks.frozen import Frozen
from blocks.sandboxes.models import SandboxLimits
from blocks.sandboxes.reading import NO_RULES
from blocks.sources.models import MIB, FetchLimits
from blocks.specs import PoolSpec
from flows.runs.options import RuntimeOptions
from flows.tables.gate import GateRule
from flows.tables.reading import Reading


class _Fetching(Frozen):
    """What is fetched, and what of it is kept."""

    max_mib: Annotated[int, Field(ge=1, le=1024, description="largest dataset, transferred and unpacked, MiB")] = 256
    max_ratio: Annotated[float, Field(gt=1, description="unpacked bytes for each packed one")] = 200.0
    min_rows: Annotated[int, Field(ge=1, description="fewest rows of a dataset")] = 50
    min_columns: Annotated[int, Field(ge=1, description="fewest columns of a dataset")] = 2
    most_missing: Annotated[
        float, Field(gt=0, le=1, description="share of missing values from which a column counts as empty")
    ] = 0.95
    keep_duplicates: Annotated[bool, Field(description="take a dataset also when a near-duplicate is there")] = False
    refresh: Annotated[bool, Field(description="ask web servers for newer versions, and judge refused ones anew")] = (
        False
    )
    parallel: Annotated[int, Field(ge=1, le=64, description="datasets at once")] = 4
    memory: Annotated[int, Field(ge=64, description="memory for profiling beyond the dataset's own, MiB")] = 2048


class DownloadOptions(RuntimeOptions, _Fetching):
    """How datasets are fetched and judged."""

    reading: Reading = NO_RULES

    def limits(self) -> FetchLimits:
        """What a dataset may cost."""
        return FetchLimits(max_bytes=self.max_mib * MIB, max_ratio=self.max_ratio)

    def rule(self) -> GateRule:
        """The gate."""
        return GateRule(min_rows=self.min_rows, min_columns=self.min_columns, most_missing=self.most_missing)

    def pool(self) -> PoolSpec:
        """The sandboxes."""
        limits = SandboxLimits(
            cell_timeout_s=120, memory_bytes=self.memory * MIB, max_sessions=2, spare_sessions=1, preload="tables"
        )
        return PoolSpec(self.runtime, self.docker_host, self.allow_weak, limits)


def named_sources(sources: list[str], file: str | None) -> list[str]:
    """The sources given and those of a list file, each once, in order.

    Args:
        sources: As given.
        file: A file with one source per line; blank lines and what follows a `#` and a space are left out.

    Raises:
        UserError: There is none, or the file cannot be read.
    """
    texts = list(sources)
    if file is not None:
        try:
            lines = Path(file).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"The list {file} cannot be read ({error}).", "Give a text file.") from error
        stripped = (line.strip() if not line.lstrip().startswith("#") else "" for line in lines)
        texts += [line.partition(" #")[0].rstrip() for line in stripped if line]
    unique = list(dict.fromkeys(text for text in texts if text))
    if not unique:
        raise UserError("No source was given.", "Name an address, a file, a folder, kaggle:OWNER/NAME, or --list FILE.")
    return unique
