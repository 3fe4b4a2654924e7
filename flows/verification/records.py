"""The episode record: a question, all attempts at it, the verdict, and everything needed to tell how it came about.

One episode is one JSON object. It is the canonical form: every export is made from it, nothing is left out of it but
the bytes of figures, and reading it back gives an equal record.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer

from blocks.frozen import Frozen
from blocks.sandboxes.models import LoadedDataset, SandboxInfo, SandboxLimits, TaggedValue
from blocks.sandboxes.reading import NO_RULES, ReadingRules
from flows.answers.comparator import COMPARATOR_VERSION
from flows.questions.records import Question, content_key
from flows.tables.dataset import Dataset
from flows.verification.attempts import PromptId, Role, Trace, TraceConfig, UsageTotals
from flows.verification.prompts import Task, opening_digest, prompt_id
from flows.verification.provenance import CodeVersion, code_version
from flows.verification.triangulation import TriangulationRule
from flows.verification.verdicts import Verdict

_ORDER: dict[Role, int] = {"reference": 0, "gold": 1, "independent": 2}


class EpisodePlan(Frozen):
    """Everything that can change an episode's content, known before the first call; its hash is the episode key."""

    question_key: str
    config: TraceConfig
    endpoint: str
    """Where the model is asked, as the model client names it: the same name elsewhere may be another model."""
    prompt: PromptId
    opening: str = ""
    """Digest of what attempts begin with, as it is sent: the question, the table as it is described, the hint, the
    tools; empty in episodes of earlier releases."""
    planned: int
    """Independent traces the rule asks for; 1 where the answer is known."""
    equal: bool = False
    """Whether all traces are equal, as there is no hint to tell a gold one."""
    accept: str
    """The loosest tier at which answers count as the same."""
    image_digest: str
    limits: dict[str, Any] = Field(default_factory=dict)
    """Of the sandbox, those that can change an outcome; empty in episodes of earlier releases."""
    comparator_version: str
    program_timeout_s: float | None = None
    """Wall clock of the reference program, seconds; None where there is none."""

    @classmethod
    def of(
        cls,
        task: Task,
        config: TraceConfig,
        rule: TriangulationRule,
        *,
        endpoint: str,
        image_digest: str,
        limits: SandboxLimits,
        program_timeout_s: float | None = None,
        system: str = "",
    ) -> EpisodePlan:
        """The plan for a question under a configuration.

        Args:
            task: The question, its dataset as it was read, and the table's profile.
            config: How attempts are made.
            rule: How the vote is held; whether traces are launched in waves changes only what they cost.
            endpoint: Where the model is asked.
            image_digest: What the sandbox is made of.
            limits: What its sessions may use.
            program_timeout_s: Wall clock of a reference program, seconds.
            system: The system message of its attempts, where it is at hand.
        """
        question = task.question
        known = question.has_ground_truth
        return cls(
            question_key=question.key(task.dataset.content),
            config=config,
            endpoint=endpoint,
            prompt=prompt_id(config),
            opening=opening_digest(task, config, system),
            planned=1 if known else rule.planned(question.difficulty, hinted=question.hinted),
            equal=not known and not question.hinted,
            accept=rule.accept,
            image_digest=image_digest,
            limits=limits.deciding(),
            program_timeout_s=program_timeout_s if question.reference_program is not None else None,
            comparator_version=COMPARATOR_VERSION,
        )

    @property
    def key(self) -> str:
        """The episode key."""
        if self.opening:
            return content_key("episode/2", self.model_dump(mode="json"))
        # As an earlier release made it, which had all traces equal only where it says so.
        left = {"opening", "limits"} if self.equal else {"opening", "limits", "equal"}
        return content_key("episode/1", self.model_dump(mode="json", exclude=left))


class DatasetRef(Frozen):
    """The dataset an episode is about, without the path it had on one machine."""

    slug: str
    key: str
    """sha256 of the file."""
    content: str = ""
    """Identity of the table that the file becomes by the rules for reading; empty where none was given: the key."""
    file: str
    bytes: int
    rows: int
    columns: int
    encoding: str
    delimiter: str
    warnings: tuple[str, ...] = ()
    """What was noticed when the file was read."""
    reading: Annotated[ReadingRules, PlainSerializer(ReadingRules.given_rules)] = NO_RULES
    """The rules for reading it that were given."""
    column_notes: dict[str, str] = Field(default_factory=dict)
    """What the columns mean, by name: what the card says, and units and formats found in the file."""
    title: str = ""
    description: str = ""
    licence: str = ""
    source: str = ""

    @property
    def table(self) -> str:
        """Identity of the table, `Dataset.content`."""
        return self.content or self.key

    @classmethod
    def of(cls, dataset: Dataset, loaded: LoadedDataset) -> DatasetRef:
        """The reference to a dataset as the sandbox loaded it."""
        return cls(
            slug=dataset.slug,
            key=dataset.key,
            content=dataset.content if dataset.reading.given else "",
            file=dataset.path.name,
            bytes=dataset.bytes,
            rows=loaded.rows,
            columns=loaded.columns,
            encoding=loaded.encoding,
            delimiter=loaded.delimiter,
            warnings=loaded.warnings,
            reading=dataset.reading,
            column_notes=dataset.column_notes,
            title=dataset.title,
            description=dataset.description,
            licence=dataset.licence,
            source=dataset.source,
        )


class Provenance(Frozen):
    """How the episode came about."""

    plan: EpisodePlan
    sandbox: SandboxInfo
    code: CodeVersion


class Episode(Frozen):
    """One question's episode, whatever its verdict."""

    schema_version: Literal[1] = 1
    episode_id: str
    """The episode key: equal for equal questions asked in equal ways."""
    question_key: str
    dataset: DatasetRef
    question: Question
    attempts: tuple[Trace, ...]
    """The reference program's run, the gold trace, the independent traces by index."""
    verdict: Verdict
    answer: TaggedValue | None = None
    """The verified value as it was submitted; None unless the verdict is verified."""
    usage: UsageTotals
    incidents: tuple[str, ...] = ()
    """What went wrong around the attempts without being theirs: rebuilt sandboxes, repeated tries."""
    provenance: Provenance
    started: datetime
    ended: datetime

    @property
    def final(self) -> bool:
        """Whether the verdict stands; one that was cut off by budget, provider or sandbox is worth another try."""
        return self.verdict.verdict != "budget"

    @property
    def gold(self) -> Trace | None:
        """The gold trace, if one was launched; there is none where the question has no hint."""
        return next((trace for trace in self.attempts if trace.role == "gold"), None)

    def to_line(self) -> bytes:
        """The episode as one line of JSON Lines, with the line feed."""
        return to_json(self.model_dump(mode="json")) + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Episode:
        """The episode of a line.

        Raises:
            ValueError: It is none (pydantic's ValidationError included).
        """
        return cls.model_validate(json.loads(line))


def make_episode(
    plan: EpisodePlan,
    question: Question,
    dataset: DatasetRef,
    attempts: Sequence[Trace],
    verdict: Verdict,
    *,
    sandbox: SandboxInfo,
    incidents: Iterable[str] = (),
    started: datetime | None = None,
) -> Episode:
    """Put an episode together.

    Args:
        plan: What was planned; gives the episode its key.
        question: The question.
        dataset: Its dataset.
        attempts: All attempts, in any order.
        verdict: What was decided.
        sandbox: What the sandbox was made of.
        incidents: What went wrong around the attempts.
        started: When work on it began; by default when its first attempt did.
    """
    ordered = tuple(sorted(attempts, key=lambda trace: (_ORDER[trace.role], trace.index)))
    now = datetime.now(UTC)
    calls = (message.call for trace in ordered for message in trace.messages if message.call is not None)
    return Episode(
        episode_id=plan.key,
        question_key=plan.question_key,
        dataset=dataset,
        question=question,
        attempts=ordered,
        verdict=verdict,
        answer=_verified_answer(ordered, verdict) if verdict.verified else None,
        usage=UsageTotals.of(calls),
        incidents=tuple(incidents),
        provenance=Provenance(plan=plan, sandbox=sandbox, code=code_version()),
        started=started or min((trace.started for trace in ordered), default=now),
        ended=now,
    )


def to_json(data: Any) -> bytes:
    """Compact JSON on one line that any reader takes and that reads back equal.

    Lone surrogates, which a model or a cell may produce, are escaped. Non-finite numbers, which have no place in JSON,
    become the words a tagged value has for them.
    """
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), separators=(",", ":")).encode("ascii")


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return "nan" if math.isnan(data) else "inf" if data > 0 else "-inf"
    return data


def _verified_answer(attempts: Sequence[Trace], verdict: Verdict) -> TaggedValue | None:
    """The answer of the reference program, else of the gold trace, else of the first trace among those that agree."""
    if verdict.gold is None:
        # Clusters count the independent traces from 0; the first of them has the sample index 1.
        agreeing = {member + 1 for member in verdict.clusters[0].members}
        attempts = [trace for trace in attempts if trace.index in agreeing]
    return next((trace.answer for trace in attempts if trace.answer is not None), None)
