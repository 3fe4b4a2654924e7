"""The question record: what is asked of a dataset, the answer's type, and the question key."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    model_serializer,
)

AnswerType = Literal["bool", "int", "float", "percent", "date", "string", "list", "set", "mapping", "table", "any"]
Difficulty = Literal["easy", "medium", "hard", "very_hard"]
QuestionSource = Literal["template", "program", "llm"]


Decimals = Annotated[int | None, Field(ge=0, le=15, description="decimals the question asks for")]
Unit = Annotated[str | None, Field(description="unit the question asks for, e.g. mm, %, ratio")]
Scale = Annotated[
    float | None,
    Field(
        gt=0,
        allow_inf_nan=False,
        description="size of the values an answer is computed from: how near to each other two floats near 0 are one",
    ),
]


class ValueSpec(BaseModel):
    """What one value of a mapping, or one column of a table, must look like."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: AnswerType = "any"
    decimals: Decimals = None
    unit: Unit = None
    scale: Scale = None


class AnswerSpec(BaseModel):
    """What an answer must look like: drives the comparator and is told to the model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: AnswerType = "any"
    decimals: Decimals = None
    unit: Unit = None
    items: Annotated[
        AnswerType | None, Field(description="type of the elements of a list or set, of the values of a mapping")
    ] = None
    case_sensitive: bool = False
    columns: Annotated[tuple[str, ...], Field(description="columns of a table answer, in order")] = ()
    ordered_rows: Annotated[bool, Field(description="table: row order counts")] = False
    by_key: Annotated[
        dict[str, ValueSpec],
        Field(description="type, decimals and unit of a mapping's value or a table's column, where they are its own"),
    ] = {}
    scale: Scale = None

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without keys and scale where nothing is said of them: files and keys of all other questions stay."""
        data: dict[str, Any] = handler(self)
        return {name: value for name, value in data.items() if name not in ("by_key", "scale") or value}

    def of_items(self) -> ValueSpec:
        """What a value must look like of which nothing is said by its key."""
        return ValueSpec(type=self.items or "any", decimals=self.decimals, unit=self.unit, scale=self.scale)


class Question(BaseModel):
    """One question about one dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    id: Annotated[str, Field(min_length=1, max_length=200)]
    source: QuestionSource = "llm"
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    hint: Annotated[str | None, Field(description="told to the gold trace only")] = None
    reference_program: Annotated[
        str | None, Field(description="pandas code that ends in submit(…): the ground truth is what it submits")
    ] = None
    ground_truth: Annotated[JsonValue, Field(description="known answer, if any; plain JSON")] = None
    alternatives: Annotated[
        tuple[JsonValue, ...], Field(description="other answers that count as right: ties, other conventions")
    ] = ()
    dataset_key: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{64}$", description="the dataset it was made for; empty: any")
    ] = None
    answer: AnswerSpec = AnswerSpec()
    difficulty: Difficulty = "medium"
    n_steps: Annotated[int, Field(ge=1, le=100, description="steps a solution is expected to take")] = 3
    tags: tuple[str, ...] = ()
    provenance: dict[str, Any] = {}

    @property
    def has_ground_truth(self) -> bool:
        """Whether the answer is known without a vote: by a reference program or a given ground truth."""
        return self.reference_program is not None or self.ground_truth is not None

    @property
    def hinted(self) -> bool:
        """Whether there is a hint that a gold trace can be told."""
        return self.hint is not None and self.hint.strip() != ""

    def key(self, dataset_key: str) -> str:
        """The question key: content identity, see docs/architecture.md. Text is taken as written."""
        return content_key(
            "question/1",
            dataset_key,
            self.text,
            self.source,
            self.reference_program if self.reference_program is not None else self.hint,
            self.ground_truth,
            self.answer.model_dump(mode="json"),
            # Only where there are any: the keys of all other questions stay what they were.
            *([list(self.alternatives)] if self.alternatives else []),
        )


def content_key(*parts: Any) -> str:
    """sha256 (hex) over the canonical JSON of the parts: sorted keys, no spaces, no ASCII folding, no NaN."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
