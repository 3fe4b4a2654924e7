"""What vendors say when a request is refused for its size or number: each message is what it is, in its own words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.chat.errors import (
    BadRequest,
    ChatError,
    ContextOverflow,
    MaxTokensTooLarge,
    ModelNotFound,
    PaymentRequired,
    RateLimited,
    Refused,
    RequestTooLarge,
    TooLong,
)
from blocks.chat.overflows import OVERFLOWS, Overflow, Told, overflow
from blocks.chat.quoting import DETAIL_CHARS, masked, shortened
from blocks.chat.refusals import OUTPUT_CAPS, OutputCap, larger_than_any_rate
from blocks.chat.retry import RetryPolicy
from tests.support.chat import ask, opened
from tests.support.model_answers import Answer, error
from tests.support.model_server import ModelServer

NGINX = (
    "<html>\r\n<head><title>413 Request Entity Too Large</title></head>\r\n<body>\r\n<center><h1>413 Request Entity Too"
    " Large</h1></center>\r\n<hr><center>nginx/1.25.3</center>\r\n</body>\r\n</html>"
)
GROQ = (
    "Request too large for model `llama-3.1-8b-instant` in organization `org_01` service tier `on_demand` on tokens per"
    " minute (TPM): Limit 6000, Requested 15041, please reduce your message size and try again."
)
GROQ_FULL = (
    "Rate limit reached for model `llama-3.1-8b-instant` in organization `org_01` service tier `on_demand` on tokens"
    " per minute (TPM): Limit 6000, Used 4093, Requested 3531. Please try again in 16.23s."
)


async def end_of(answer: Answer, tmp_path: Path, requests: int = 1) -> ChatError:
    """How a call ends that gets this answer each time."""
    with ModelServer(lambda _: answer) as server:
        async with opened(server, tmp_path / "store.db", retry=RetryPolicy(max_attempts=3)) as client:
            with pytest.raises(ChatError) as caught:
                await client.complete(ask())
    assert server.tally.asked.total() == requests == caught.value.requests
    return caught.value


def openai(message: str, **fields: Any) -> dict[str, Any]:
    return {"error": {"message": message, **fields}}


def bodies(message: str, code: str = "") -> list[Any]:
    """The forms in which servers put their words."""
    extra = {"code": code} if code else {}
    return [
        openai(message, **extra),
        [openai(message, **extra)],
        {"error": message, **extra},
        {"message": message, **extra},
        {"detail": message},
        {"type": "error", "error": {"type": "invalid_request_error", "message": message}},
        openai("Provider returned error", metadata={"raw": json.dumps({"message": message})}),
        {"error_code": 336103, "error_msg": message},
        message,
    ]


@pytest.mark.parametrize("row", OVERFLOWS, ids=lambda row: row.vendor)
async def test_each_vendors_overflow(row: Overflow, tmp_path: Path) -> None:
    assert row.pattern.search(row.example), "its own pattern fits"
    assert overflow(row.example) == row.told, "and no earlier one tells otherwise"
    caught = await end_of(error(row.status, openai(row.example)), tmp_path)
    assert type(caught) is ContextOverflow
    assert (caught.window, caught.asked) == (row.told.window, row.told.asked or row.told.prompt)
    assert row.example[:100].rstrip(".") in caught.message, "the server's own words"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "'max_tokens' or 'max_completion_tokens' is too large: 8000. This model's maximum context length is 32768"
            " tokens and your request has 25201 input tokens (8000 > 32768 - 25201).",
            Told(32_768, None, 25_201),
        ),
        ("The maximum context length is 4096. Please reduce the length of the prompt.", Told(4096)),
        ("Maximum context size of 4096 passed. context_length_exceeded", Told(4096)),
    ],
)
def test_words_that_tell_more_go_before_those_that_tell_less(text: str, told: Told) -> None:
    assert overflow(text) == told


@pytest.mark.parametrize("form", range(len(bodies(""))))
async def test_the_form_of_the_body_does_not_matter(form: int, tmp_path: Path) -> None:
    words = "prompt is too long: 213462 tokens > 200000 maximum"
    caught = await end_of(error(400, bodies(words)[form]), tmp_path)
    assert type(caught) is ContextOverflow
    assert (caught.window, caught.asked) == (200_000, 213_462)
    assert "213462 tokens > 200000" in caught.message


@pytest.mark.parametrize("code", [{"code": 400}, {"code": "400"}, {"code": "context_length_exceeded"}, {}])
async def test_an_error_in_a_reply_that_looks_well_is_read_alike(code: dict[str, Any], tmp_path: Path) -> None:
    words = "This endpoint's maximum context length is 32768 tokens. However, you requested about 40000 tokens"
    caught = await end_of(error(200, openai(words, **code)), tmp_path)
    assert type(caught) is ContextOverflow
    assert (caught.window, caught.asked) == (32_768, 40_000)


def test_at_least_sixteen_vendors_are_known() -> None:
    assert len({row.vendor.partition(",")[0] for row in OVERFLOWS if not row.vendor.startswith("others")}) >= 25


@pytest.mark.parametrize("row", OUTPUT_CAPS, ids=lambda row: row.vendor)
async def test_each_vendors_longest_answer(row: OutputCap, tmp_path: Path) -> None:
    """It is no overflow: less conversation helps nothing. What the server names as its maximum is told."""
    caught = await end_of(error(400, openai(row.example)), tmp_path)
    assert type(caught) is MaxTokensTooLarge
    assert caught.most == row.most
    assert f"Lower max_tokens to {row.most}" in caught.remedy
    assert row.example[:60] in caught.message


@pytest.mark.parametrize(
    ("status", "body", "kind", "requests"),
    [
        (413, openai(GROQ, type="tokens", code="rate_limit_exceeded"), RequestTooLarge, 1),
        (429, openai(GROQ, type="tokens", code="rate_limit_exceeded"), RequestTooLarge, 1),
        (
            429,
            openai("Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000. The input or"),
            RequestTooLarge,
            1,
        ),
        (413, openai(GROQ_FULL, type="tokens", code="rate_limit_exceeded"), RateLimited, 3),
        (413, openai("Rate limit exceeded: tokens per minute"), RateLimited, 3),
        (429, openai(GROQ_FULL, type="tokens", code="rate_limit_exceeded"), RateLimited, 3),
        (400, openai("ThrottlingException: Too many tokens, please wait before trying again."), RateLimited, 3),
        (503, openai("Too many requests, please slow down"), RateLimited, 3),
        (413, NGINX, RequestTooLarge, 1),
        (413, "", RequestTooLarge, 1),
        (413, {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}},
         RequestTooLarge, 1),
        (413, "PayloadTooLargeError: request entity too large", RequestTooLarge, 1),
        (400, openai("Invalid 'messages[1].content': string too long. Expected a string with maximum length 1048576",
                     code="string_above_max_length"), RequestTooLarge, 1),
        (400, openai("Invalid 'user': string too long. Expected a string with maximum length 64",
                     code="string_above_max_length"), BadRequest, 1),
        (400, openai("max_completion_tokens is too large for this model"), MaxTokensTooLarge, 1),
        (400, openai("messages.0.content.1.image: image exceeds 5 MB maximum: 7340032 bytes > 5242880"), BadRequest, 1),
        (413, openai("The image is too large"), BadRequest, 1),
        (400, openai("Image size exceeds the context limits"), BadRequest, 1),
        (429, openai("You exceeded your current quota, please check your plan", code="insufficient_quota"),
         PaymentRequired, 1),
        (402, openai("This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens"),
         PaymentRequired, 1),
        (404, openai("The model `gpt-9` does not exist", code="model_not_found"), ModelNotFound, 1),
        (400, openai("The response was filtered due to the prompt triggering Azure OpenAI's content management policy",
                     code="content_filter"), Refused, 1),
        (400, openai("Unrecognized request argument: context_window"), BadRequest, 1),
    ],
)  # fmt: skip
async def test_near_misses_are_no_overflow(
    status: int, body: Any, kind: type[ChatError], requests: int, tmp_path: Path
) -> None:
    caught = await end_of(error(status, body), tmp_path, requests)
    assert type(caught) is kind
    assert not isinstance(caught, ContextOverflow)
    words = body if isinstance(body, str) else body["error"]["message"]
    if words and not words.startswith("<"):
        assert words[:60].rstrip(".") in caught.message, "the server's own words"
    if words == NGINX:
        assert "413 Request Entity Too Large" in caught.message
        assert "<" not in caught.message


@pytest.mark.parametrize("words", ["", "It broke.", GROQ, NGINX])
@pytest.mark.parametrize("status", [400, 408, 409, 422, 500, 503])
async def test_whatever_a_server_says_is_quoted(status: int, words: str, tmp_path: Path) -> None:
    requests = 3 if status in (408, 409, 500, 503) else 1
    if status == 503 and words == GROQ:
        pytest.skip("it is a rate limit, see above")
    caught = await end_of(error(status, words), tmp_path, requests)
    assert shortened(words).rstrip(".")[:80] in caught.message


async def test_a_reply_that_is_none_is_quoted(tmp_path: Path) -> None:
    for body in (b"<html><body>Gateway is busy</body></html>", b'["busy"]', b'{"choices": [], "note": "busy"}'):
        assert "busy" in (await end_of(Answer(body=body), tmp_path, 3)).message


async def test_a_refusal_that_less_conversation_may_mend_is_told_apart(tmp_path: Path) -> None:
    assert isinstance(await end_of(error(413, NGINX), tmp_path), TooLong)
    assert not isinstance(await end_of(error(400, openai("bad")), tmp_path), TooLong)


def test_room_for_an_answer_is_told() -> None:
    told = overflow("maximum context length is 2048 tokens. However, your request has 8 input tokens plus 2045")
    assert told == Told(2048, None, 8)


@pytest.mark.parametrize(
    ("text", "larger"),
    [
        ("tokens per minute: Limit 6000, Requested 15041", True),
        ("tokens per min: Limit 30,000, Requested 40,000", True),
        ("tokens per minute: Limit: 6000, Requested: 6000", False),
        ("tokens per minute: Limit 6000, Used 5900, Requested 1200", False),
        ("tokens per day: Limit 6000, Used 100, Requested 7000", True),
        ("model token limit: 6000 (requested: 7000)", False),
        ("Request too large for model x on requests per day", True),
        ("Request too large", False),
        (f"tokens per minute: Limit {'1' * 5000}, Requested 2", False),
        ("", False),
    ],
)
def test_what_no_minute_lets_through(text: str, larger: bool) -> None:
    assert larger_than_any_rate(text) is larger


SECRETS = (
    "sk-proj-0123456789abcdef", "gsk_0123456789abcdefghij", "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "AKIAIOSFODNN7EXAMPLE", "Bearer 0123456789abcdef", "api_key=0123456789abcdef",
    '"api_key": "0123456789abcdef"', "password: hunter2hunter2",
    "https://name:hunter2hunter2@host/path", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdef",
)  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
async def test_keys_of_others_are_struck_out(secret: str, tmp_path: Path) -> None:
    """Gateways repeat the keys that they use themselves."""
    caught = await end_of(error(400, openai(f"upstream said no to {secret} today")), tmp_path)
    for part in ("0123456789abcdef", "hunter2", "AKIAIOSFODNN7", "eyJzdWIi"):
        assert part not in repr(vars(caught)) + str(caught)
    assert "***" in caught.message
    assert "upstream said no to" in caught.message


@pytest.mark.parametrize(
    "text",
    ["no key given: see https://host/a:b@c", "the token count is 12", "max_tokens: 100000", "ask-me-anything-soon"],
)
def test_what_is_no_key_stays(text: str) -> None:
    assert masked(text) == text


@given(st.text(max_size=2000))
def test_a_quotation_is_one_short_printable_line(text: str) -> None:
    line = shortened(text)
    assert len(line) <= DETAIL_CHARS
    assert line.isprintable()
    assert line == line.strip()
    assert "\n" not in line


UNCLOSED = (
    "<!--", "<script>", "<style ", "</script ", "<a ", "a.", "eyJ-", "eyJ0-", "://a:", "bearer ", "password ",
    "model ", "limit 1,", "max_tokens ", "exceeded the ", "input ", "maximum context length is 1 tokens ",
)  # fmt: skip


@pytest.mark.parametrize("opened", UNCLOSED)
async def test_a_body_without_end_is_soon_read(opened: str, tmp_path: Path) -> None:
    """A server may send what no pattern finds an end of, as long as it likes; nothing else goes on meanwhile."""
    text = "<p>" + opened * (4 * 2**20 // len(opened))
    caught = await end_of(error(400, text), tmp_path)
    assert len(caught.detail) <= DETAIL_CHARS


@pytest.mark.parametrize("opened", UNCLOSED)
def test_striking_out_keys_takes_no_longer_than_the_text_is(opened: str) -> None:
    assert len(masked(opened * 10**6)) <= len(opened) * 10**6


def test_of_a_page_that_is_cut_off_no_script_is_told() -> None:
    assert shortened("<p>Sorry</p><script>var a = 1") == "Sorry"
    assert shortened("<p>Sorry</p><!-- var a = 1") == "Sorry"


@pytest.mark.parametrize("words", ["maximum context length is {} tokens", "supports at most {} tokens"])
async def test_a_number_of_many_digits_is_none(words: str, tmp_path: Path) -> None:
    caught = await end_of(error(413, openai(words.format("1" * 5000))), tmp_path)
    assert getattr(caught, "window", None) is None
    assert getattr(caught, "most", None) is None


@given(st.text(max_size=300))
def test_no_words_break_the_tables(text: str) -> None:
    overflow(text)
    larger_than_any_rate(text)
