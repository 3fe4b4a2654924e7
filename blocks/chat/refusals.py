"""What servers say when a request is refused for its size or its number, and the model's context is not the reason.

They look alike, and what helps differs: waiting, where it is a limit per minute; less in one request, where it is the
body's size or more than a minute's limit; a smaller max_tokens, where it is the longest answer. One row each, as
reported publicly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from blocks.chat.counts import written_count

RATE = re.compile(
    r"rate[_ -]?limit(?:s|ed|ing)?[_ ](?:reached|exceeded|error)|exceeded (?:token |your |the |call )*rate limit"
    r"|(?:tokens|requests)[_ ]per[_ ](?:second|minute|min|hour|day)|too many requests|throttl"
    r"|please wait before trying again|resource[_ ]exhausted",
    re.IGNORECASE,
)
"""A limit on how much is sent in some time."""
IMAGE = re.compile(r"image_too_large|\bimages?\b.{0,40}(?:exceeds|too large)", re.IGNORECASE)
_BODY = re.compile(
    r"(?:request |payload )(?:entity |body )?(?:is )?too (?:large|big)|request_too_large"
    r"|body (?:size )?(?:limit|exceed)|exceeds the maximum (?:allowed )?(?:size|number of bytes)"
    r"|request contains text fields that are too large"
    r"|(?:messages|input|prompt|contents?)\b.{0,40}: string too long",
    re.IGNORECASE,
)
_SHARES = re.compile(r"\blimit:? (\d[\d,]*)\b.{0,60}\brequested:? (\d[\d,]*)", re.IGNORECASE)


@dataclass(frozen=True)
class OutputCap:
    """How one vendor refuses a max_tokens that is more than an answer may have.

    Attributes:
        vendor: Who.
        words: Pattern; its group is the most there may be.
        example: A message as reported.
        most: What the example says.
        exclusive: Whether the number said is one too many.
    """

    vendor: str
    words: str
    example: str
    most: int | None
    exclusive: bool = False


OUTPUT_CAPS: tuple[OutputCap, ...] = (
    OutputCap(
        "OpenAI, Azure OpenAI",
        r"supports at most (\d[\d,]*) (?:completion |output |max_)?tokens",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens, whereas you provided"
        " 100000.",
        16_384,
    ),
    OutputCap(
        "Anthropic",
        r"max_tokens: \d+ > (\d[\d,]*), which is the maximum allowed number of output tokens",
        "max_tokens: 100000 > 8192, which is the maximum allowed number of output tokens for claude-3-5-sonnet",
        8192,
    ),
    OutputCap(
        "DeepSeek",
        r"valid range of max_tokens is \[\d+, (\d[\d,]*)\]",
        "Invalid max_tokens value, the valid range of max_tokens is [1, 8192]",
        8192,
    ),
    OutputCap(
        "Qwen, DashScope",
        r"range of max_tokens should be \[\d+, (\d[\d,]*)\]",
        "<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]",
        8192,
    ),
    OutputCap(
        "Groq",
        r"max_(?:completion_)?tokens`? must be less than or equal to `?(\d[\d,]*)",
        "`max_tokens` must be less than or equal to `8192`, the maximum value for `max_tokens` is less than the"
        " `context_window` for this model",
        8192,
    ),
    OutputCap(
        "Google Vertex AI",
        r"maxOutputTokens value of \d+ but the supported range is from \d+ \(inclusive\) to (\d[\d,]*) \(exclusive\)",
        "Unable to submit request because it has a maxOutputTokens value of 10000 but the supported range is from 1"
        " (inclusive) to 8193 (exclusive). Update the value and try again.",
        8192,
        exclusive=True,
    ),
    OutputCap(
        "Amazon Bedrock",
        r"maximum tokens you requested exceeds the model limit of (\d[\d,]*)",
        "The maximum tokens you requested exceeds the model limit of 4096. Try again with a maximum tokens value that"
        " is lower than 4096.",
        4096,
    ),
    OutputCap(
        "Cohere",
        r"max tokens must be less than or equal to (\d[\d,]*), the maximum output",
        "too many tokens: max tokens must be less than or equal to 4096, the maximum output for this model - received"
        " 8192.",
        4096,
    ),
    OutputCap(
        "gateways",
        r"max_tokens \(\d+\) exceeds model's maximum output tokens \((\d[\d,]*)\)",
        "max_tokens (384000) exceeds model's maximum output tokens (65536)",
        65_536,
    ),
)
_CAPS = [(row, re.compile(row.words, re.IGNORECASE)) for row in OUTPUT_CAPS]
_SOME_CAP = re.compile(
    r"max_(?:completion_|output_|new_)?tokens\W.{0,40}(?:too (?:large|big|high)|exceeds|must be (?:less|at most|<=))",
    re.IGNORECASE,
)


def output_cap(text: str) -> int | None:
    """The most tokens an answer may have, where a known message says that more were asked for; else None."""
    for row, words in _CAPS:
        if found := words.search(text):
            most = written_count(found[1].replace(",", ""))
            return None if most is None else most - row.exclusive
    return None


def says_output_cap(text: str) -> bool:
    """Whether a message says in other words that max_tokens is too large."""
    return _SOME_CAP.search(text) is not None


def larger_than_any_rate(text: str) -> bool:
    """Whether a request is more than a limit per minute lets through at all, so that waiting helps nothing.

    `tokens per minute: Limit 6000, Requested 15041`: it is. `Limit 6000, Used 5000, Requested 1200`: it is not.
    """
    if RATE.search(text) is None:
        return False
    if shares := _SHARES.search(text):
        limit, requested = (written_count(shares[group].replace(",", "")) for group in (1, 2))
        return limit is not None and requested is not None and requested > limit
    return "request too large" in text.lower()


def says_body(text: str) -> bool:
    """Whether a message says that the request has too many bytes or characters."""
    return _BODY.search(text) is not None
