"""What vendors and servers say when a conversation does not fit the model's context: a row each, publicly reported.

A pattern may name what the message tells: `window`, tokens that the context holds; `asked`, tokens that the call would
take; `prompt`, tokens of the conversation alone. Where a message fits several rows the first counts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from blocks.chat.counts import written_count


def _named(pattern: str) -> re.Pattern[str]:
    """A pattern in which `{window}`, `{asked}`, `{prompt}` and `{n}` stand for numbers."""
    for name in ("window", "asked", "prompt"):
        pattern = pattern.replace(f"{{{name}}}", rf"(?P<{name}>\d[\d,]*)")
    return re.compile(pattern.replace("{n}", r"\d[\d,]*"), re.IGNORECASE | re.DOTALL)


class Told(NamedTuple):
    """What a message tells of sizes, in tokens."""

    window: int | None = None
    asked: int | None = None
    prompt: int | None = None


NOTHING = Told()


@dataclass(frozen=True)
class Overflow:
    """How one vendor says it.

    Attributes:
        vendor: Who.
        words: Pattern, see above.
        example: A message as reported.
        told: What the example tells.
        status: HTTP status it comes with.
        code: Its code or type, where the message alone does not say it.
    """

    vendor: str
    words: str
    example: str
    told: Told = NOTHING
    status: int = 400
    code: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The words, compiled."""
        return _named(self.words)


OVERFLOWS: tuple[Overflow, ...] = (
    Overflow(
        "OpenAI, messages and completion",
        r"maximum context length is {window} tokens.{0,40}you requested {asked} tokens \({prompt} in (?:the|your)",
        "This model's maximum context length is 4097 tokens. However, you requested 5390 tokens (1294 in the messages,"
        " 4096 in the completion). Please reduce the length of the messages or completion.",
        Told(4097, 5390, 1294),
    ),
    Overflow(
        "OpenAI, messages",
        r"maximum context length is {window} tokens.{0,40}your messages resulted in {asked} tokens",
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 128006 tokens."
        " Please reduce the length of the messages.",
        Told(128_000, 128_006),
    ),
    Overflow(
        "OpenAI, responses",
        r"exceeds the context window of this model",
        "Your input exceeds the context window of this model. Please adjust your input and try again.",
    ),
    Overflow(
        "OpenAI, reasoning models",
        r"input tokens exceed the configured limit(?: of {n} tokens.{0,40}resulted in {asked} tokens)?",
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 509178 tokens. Please"
        " reduce the length of the messages.",
        Told(None, 509_178),
    ),
    Overflow(
        "Azure OpenAI",
        r"maximum context length is {window} tokens.{0,40}you requested {asked} tokens \({prompt} in your prompt",
        "This model's maximum context length is 8191 tokens, however you requested 10346 tokens (10346 in your prompt;"
        " 0 for the completion). Please reduce your prompt; or completion length.",
        Told(8191, 10_346, 10_346),
    ),
    Overflow(
        "Anthropic",
        r"prompt is too long: {asked} tokens > {window} maximum",
        "prompt is too long: 213462 tokens > 200000 maximum",
        Told(200_000, 213_462),
    ),
    Overflow(
        "Anthropic, with max_tokens",
        r"exceed context limit: {prompt} \+ {n} > {window}",
        "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease input length or"
        " `max_tokens` and try again",
        Told(200_000, None, 190_000),
    ),
    Overflow(
        "Google Gemini",
        r"input token count(?: \({asked}\))? exceeds the maximum number of (?:input )?tokens allowed \(?{window}",
        "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        Told(1_048_575, 1_196_265),
    ),
    Overflow(
        "Google Gemini, newer",
        r"input token count exceeds the maximum number of tokens allowed {window}",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
        Told(1_048_576),
    ),
    Overflow(
        "Google Vertex AI",
        r"input exceeds the maximum number of tokens",
        "INVALID_ARGUMENT: input exceeds the maximum number of tokens",
    ),
    Overflow(
        "Mistral",
        r"prompt contains {asked} tokens.{0,60}too large for model with {window} maximum context length",
        "Prompt contains 40963 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
        Told(32_768, 40_963),
    ),
    Overflow(
        "Cerebras",
        r"current length is {asked} while limit is {window}",
        "Please reduce the length of the messages or completion. Current length is 132784 while limit is 131000",
        Told(131_000, 132_784),
    ),
    Overflow(
        "DeepSeek",
        r"maximum context length is {window} tokens.{0,40}you requested {asked} tokens",
        "This model's maximum context length is 65536 tokens. However, you requested 71234 tokens (63042 in the"
        " messages, 8192 in the completion). Please reduce the length of the messages or completion.",
        Told(65_536, 71_234, 63_042),
    ),
    Overflow(
        "xAI",
        r"maximum prompt length is {window} but the request contains {asked} tokens",
        "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        Told(131_072, 537_812),
    ),
    Overflow(
        "Cohere",
        r"too many tokens: total number of tokens.{0,40}(?:cannot exceed|exceeds the limit of) {window}"
        r"(?: - received {asked})?",
        "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 4292. Try using a shorter"
        " prompt, or enabling prompt truncating.",
        Told(4081, 4292),
    ),
    Overflow(
        "Together AI",
        r"`inputs` tokens \+ `max_new_tokens` must be <= {window}(?:\. Given: {prompt} `inputs`)?",
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 8000 `inputs` tokens and"
        " 512 `max_new_tokens`",
        Told(8193, None, 8000),
        status=422,
    ),
    Overflow(
        "TGI",
        r"`inputs` must have less than {window} tokens\. Given: {asked}",
        "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000",
        Told(4096, 5000),
        status=422,
    ),
    Overflow(
        "Fireworks",
        r"prompt is too long: {asked}, model maximum context length: {window}",
        "The prompt is too long: 798932, model maximum context length: 262143",
        Told(262_143, 798_932),
    ),
    Overflow(
        "OpenRouter",
        r"endpoint's maximum context length is {window} tokens.{0,40}you requested about {asked} tokens"
        r"(?: \({prompt} of text)?",
        "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens (36000 of"
        " text input, 4000 in the output). Please reduce the length of either one, or use the middle-out transform.",
        Told(32_768, 40_000, 36_000),
    ),
    Overflow(
        "OpenRouter, other providers",
        r"input length {asked} exceeds the maximum allowed input length of {window} tokens",
        "Input length 5000 exceeds the maximum allowed input length of 4096 tokens.",
        Told(4096, 5000),
    ),
    Overflow(
        "Amazon Bedrock",
        r"input is too long for (?:requested|the|this) model",
        "ValidationException: Input is too long for requested model.",
    ),
    Overflow(
        "Amazon Bedrock, Converse",
        r"input token count exceeds the maximum number of input tokens",
        "ValidationException: Input token count exceeds the maximum number of input tokens",
    ),
    Overflow(
        "Amazon Bedrock, by its numbers",
        r"max input tokens: {window}, request input token count: {asked}",
        "Too many input tokens. Max input tokens: 4096, request input token count: 5000",
        Told(4096, 5000),
    ),
    Overflow(
        "Amazon Bedrock, by characters",
        r"expected max ?length: \d+, actual: \d+",
        "Malformed input request: expected maxLength: 42000, actual: 50000, please reformat your input and try again.",
    ),
    Overflow(
        "vLLM, messages and completion",
        r"maximum context length is {window} tokens.{0,60}your request has {prompt} input tokens",
        "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens. Please reduce"
        " the length of the input messages.",
        Told(4096, None, 5000),
    ),
    Overflow(
        "vLLM, prompt",
        r"prompt \(length {asked}\) is longer than the maximum model length of {window}",
        "The decoder prompt (length 5000) is longer than the maximum model length of 4096. Make sure that"
        " `max_model_len` is no smaller than the number of text tokens.",
        Told(4096, 5000),
    ),
    Overflow(
        "vLLM, newer",
        r"model's context length is only {window} tokens.{0,80}you passed {asked} input tokens",
        "The model's context length is only 4096 tokens. However, you passed 5000 input tokens.",
        Told(4096, 5000),
    ),
    Overflow(
        "vLLM, input and output",
        r"passed {prompt} input tokens and requested {n} output tokens.{0,80}context length is only {window} tokens",
        "You passed 4000 input tokens and requested 1024 output tokens. However, the model's context length is only"
        " 4096 tokens, resulting in a maximum input length of 3072 tokens.",
        Told(4096, None, 4000),
    ),
    Overflow(
        "llama.cpp server",
        r"request \({asked} tokens\) exceeds the available context size \({window} tokens\)",
        "request (9412 tokens) exceeds the available context size (8192 tokens), try increasing it",
        Told(8192, 9412),
    ),
    Overflow(
        "llama.cpp server, older",
        r"exceeds the available context size",
        "the request exceeds the available context size. try increasing the context size or enable context shift",
        status=500,
    ),
    Overflow(
        "llama.cpp server, in the middle of an answer",
        r"context size has been exceeded",
        "Context size has been exceeded.",
        status=500,
    ),
    Overflow(
        "Ollama",
        r"prompt too long; exceeded (?:max )?context length",
        "prompt too long; exceeded max context length by 12 tokens",
        status=500,
    ),
    Overflow(
        "Ollama, older",
        r"input length exceeds the (?:maximum )?context length",
        "the input length exceeds the context length",
    ),
    Overflow(
        "LM Studio",
        r"tokens to keep from the initial prompt is greater than the context length"
        r"(?: \(n_keep: {asked} ?>=? ?n_ctx: {window})?",
        "The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 10978 >="
        " n_ctx: 8192). Try to load the model with a larger context length, or provide a shorter input",
        Told(8192, 10_978),
    ),
    Overflow(
        "LM Studio, loaded small",
        r"loaded with context length of only {window} tokens",
        "Trying to keep the first 6000 tokens when context the overflows. However, the model is loaded with context"
        " length of only 4096 tokens, which is not enough.",
        Told(4096),
    ),
    Overflow(
        "SGLang",
        r"input \({asked} tokens\) is longer than the model'?s context length \({window} tokens\)",
        "The input (210000 tokens) is longer than the model's context length (200000 tokens).",
        Told(200_000, 210_000),
    ),
    Overflow(
        "SGLang, with max_tokens",
        r"requested token count exceeds the model'?s maximum context length of {window} tokens"
        r"(?:.{0,60}total of {asked} tokens)?(?:.{0,20}?{prompt} tokens from the input)?",
        "Requested token count exceeds the model's maximum context length of 131072 tokens. You requested a total of"
        " 140000 tokens: 120000 tokens from the input messages and 20000 tokens for the completion.",
        Told(131_072, 140_000, 120_000),
    ),
    Overflow(
        "LiteLLM",
        r"contextwindowexceedederror|exceeds the model'?s maximum context limit of {window} tokens",
        "litellm.ContextWindowExceededError: An error occurred: The input exceeds the model's maximum context limit of"
        " 8192 tokens.",
    ),
    Overflow(
        "NVIDIA NIM",
        r"input length \({asked}\) exceeds (?:the )?(?:model'?s )?maximum context length \({window}\)",
        "Input length (265330) exceeds model's maximum context length (262144).",
        Told(262_144, 265_330),
    ),
    Overflow(
        "Qwen, DashScope",
        r"range of input length should be \[\d+, {window}\]",
        "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 202745]",
        Told(202_745),
    ),
    Overflow(
        "Moonshot, Kimi",
        r"exceeded model token limit: {window}(?: \(requested: {asked}\))?",
        "Invalid request: Your request exceeded model token limit: 262144 (requested: 291351)",
        Told(262_144, 291_351),
    ),
    Overflow("MiniMax", r"context window exceeds limit", "invalid params, context window exceeds limit (2013)"),
    Overflow(
        "Zhipu, Z.ai",
        r"prompt exceeds max length|model_context_window_exceeded|超过最大长度|超出最大长度",
        "Prompt exceeds max length",
    ),
    Overflow("Baidu Qianfan", r"prompt tokens too long", "Prompt tokens too long", status=400),
    Overflow(
        "GitHub Models",
        r"prompt token count of {asked} exceeds the limit of {window}",
        "prompt token count of 50000 exceeds the limit of 32000",
        Told(32_000, 50_000),
    ),
    Overflow(
        "others",
        r"prompt has {asked} tokens?, but the configured context size is {window} tokens?",
        "Prompt has 32,769 tokens, but the configured context size is 32,768 tokens",
        Told(32_768, 32_769),
    ),
    Overflow(
        "others, by both numbers",
        r"(?:prompt|input)(?: length| token count)?(?: is)? \(?{asked}(?: tokens)?\)?"
        r" (?:is longer than|exceeds|but (?:the )?model only supports) .{0,40}?"
        r"(?:length|len|token size|up to)(?: of)? \(?{window}",
        "The prompt (5000 tokens) is longer than the max model len of 4096",
        Told(4096, 5000),
    ),
    Overflow(
        "others, by an input's length",
        r"maximum (?:input|prompt) length (?:is|of) {window} tokens",
        "This model's maximum input length is 8192 tokens",
        Told(8192),
    ),
    Overflow(
        "others, by what is accepted",
        r"input has {asked} tokens but this model accepts {window}",
        "Token limit exceeded. Your input has 9000 tokens but this model accepts 8192.",
        Told(8192, 9000),
    ),
    Overflow(
        "others, by a length",
        r"max(?:imum)? context (?:size|length)(?: is| of|:)?(?: \(?{window})?",
        "You exceeded the maximum context length for this model of 128000.",
    ),
    Overflow(
        "Groq",
        r"reduce the length of the (?:input )?(?:messages|prompt)(?: or completion)?",
        "Please reduce the length of the messages or completion.",
        code="context_length_exceeded",
    ),
    Overflow(
        "others, by their code",
        r"context[_ ](?:length|window|size)[_ ](?:has been |was |is )?exceeded|exceed_context_size",
        "context_length_exceeded: the request is too big for this model",
    ),
    Overflow(
        "others, in general words",
        r"exceed(?:s|ed)? (?:the |this |your )?(?:available |model'?s? |maximum )*context (?:length|window|size|limit)"
        r"|longer than the (?:model'?s )?(?:maximum )?(?:context|model) length|too long to fit into the model"
        r"|(?:prompt|input|conversation) (?:is )?too long|context window (?:limit|exceeded)|exceed context limit"
        r"|context (?:length|size) exceeds|too (?:large|long|big) for the (?:model'?s )?context"
        r"|token length exceeds? model limit|length of the input exceeds the model"
        r"|tokens in request more than max tokens allowed|too many (?:input|prompt) tokens",
        "AWS Bedrock Error: The request payload size has exceed context limit.",
    ),
)


def overflow(text: str) -> Told | None:
    """What a message tells, if it says that a conversation does not fit the context; else None.

    Args:
        text: The server's words, with code and type.
    """
    for row in OVERFLOWS:
        if found := row.pattern.search(text):
            return Told(**{name: written_count(value.replace(",", "")) for name, value in found.groupdict("").items()})
    return None
