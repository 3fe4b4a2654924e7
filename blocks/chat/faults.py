"""From an HTTP status and an error body to a typed error: what each provider's words mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from blocks.chat.counts import told_count
from blocks.chat.endpoints import Endpoint
from blocks.chat.errors import (
    BadRequest,
    ChatError,
    ChatTimeout,
    ContextOverflow,
    MaxTokensTooLarge,
    ModelNotFound,
    PaymentRequired,
    RateLimited,
    Refused,
    RequestTooLarge,
    ServerFailure,
    WrongEndpoint,
    WrongKey,
)
from blocks.chat.overflows import Told, overflow
from blocks.chat.quoting import READ_CHARS, quoted, shortened
from blocks.chat.refusals import IMAGE, RATE, larger_than_any_rate, output_cap, says_body, says_output_cap
from blocks.chat.waits import server_wait

_NO_CREDIT = re.compile(
    r"insufficient[_ ](?:quota|credits?|funds|balance)|key limit exceeded|billing[_ ]hard[_ ]limit"
    r"|requires more credits|out of credits",
    re.IGNORECASE,
)
_FILTER = re.compile(
    r"content[_ ](?:policy|filter|management)|moderation|flagged|responsible ?ai|safety (?:system|filter|policy)",
    re.IGNORECASE,
)
_BAD_KEY = re.compile(r"(?:invalid|incorrect|missing|no|expired)[^.]{0,20}\b(?:api[_ ]?key|credentials)", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"model.{0,80}?(?:not found|does not exist|not exist|is not available|not supported|unknown)"
    r"|not a valid model|no endpoints found|unknown model|invalid model|no allowed providers|model_not_found"
    r"|unsupported model|not found.{0,80}pull",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Complaint:
    """An error reply, read."""

    status: int
    text: str
    """What the server said, code and type included; for matching."""
    detail: str
    """What the server said, for people: one line, shortened."""
    body: Mapping[str, Any]
    endpoint: Endpoint
    model: str
    retry_after_s: float | None


def fault(status: int, headers: Mapping[str, str], text: str, endpoint: Endpoint, model: str) -> ChatError:
    """The typed error for an HTTP error reply.

    Args:
        status: HTTP status.
        headers: Response headers, names in lower case.
        text: The body, secrets already struck out.
        endpoint: Where it came from.
        model: The model asked for.
    """
    complaint = _read(status, headers, text, endpoint, model)
    return next(make(complaint) for applies, make in RULES if applies(complaint))


def embedded_fault(
    body: Mapping[str, Any], headers: Mapping[str, str], endpoint: Endpoint, model: str
) -> ChatError | None:
    """The typed error that stands in the body of a reply with status 200, if one does."""
    error = body.get("error")
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    if not error and isinstance(first, dict):
        error = first.get("error")
    if not error:
        return None
    code = str(error.get("code")) if isinstance(error, dict) else ""
    status = int(code) if re.fullmatch("[45][0-9]{2}", code) else HTTPStatus.BAD_GATEWAY
    return fault(status, headers, json.dumps({"error": error}), endpoint, model)


def _read(status: int, headers: Mapping[str, str], text: str, endpoint: Endpoint, model: str) -> Complaint:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    # Google's API in OpenAI's form answers with a list of one.
    parsed = parsed[0] if isinstance(parsed, list) and parsed else parsed
    body = parsed if isinstance(parsed, dict) else {}
    error = body.get("error", body)
    fields = error if isinstance(error, dict) else {"message": error}
    metadata = fields.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    said = [fields.get(name) for name in ("message", "detail", "type", "code")] + [metadata.get("raw")]
    shown = [str(part) for part in (fields.get("message") or fields.get("detail"), metadata.get("raw")) if part]
    words = [str(part) for part in said if part not in (None, "", status)] if shown else [text]
    read = " ".join(words)[:READ_CHARS]
    limited = status == HTTPStatus.TOO_MANY_REQUESTS or RATE.search(read) is not None
    extra = metadata.get("headers")
    waits = dict(headers) | ({str(k).lower(): str(v) for k, v in extra.items()} if isinstance(extra, dict) else {})
    elsewhere = headers.get("location", "").partition("?")[0] if 300 <= status < 400 else ""
    return Complaint(
        status=status,
        text=read,
        detail=shortened(f"it redirects to {elsewhere}" if elsewhere else " ".join(shown) or text),
        body=fields,
        endpoint=endpoint,
        model=model,
        retry_after_s=server_wait(waits, refused=limited),
    )


def _context(it: Complaint) -> ChatError:
    told = overflow(it.text) or Told()
    window, asked = (told_count(it.body.get(name)) for name in ("n_ctx", "n_prompt_tokens"))
    window, asked = window or told.window, asked or told.asked or told.prompt
    room = window - told.prompt if window and told.prompt else 0
    lower = f", or a max_tokens of at most {room}" if room > 0 else ""
    size = f" of {window} tokens" if window else ""
    return ContextOverflow(
        f"The conversation does not fit the context{size} of {it.model}{quoted(it.detail)}.",
        f"Use a model with a larger context, fewer or shorter turns{lower}.",
        status=it.status,
        detail=it.detail,
        window=window,
        asked=asked,
    )


def _too_large(it: Complaint) -> ChatError:
    message = (
        f"{it.endpoint.id} lets no request of this size through to {it.model} (HTTP {it.status}{quoted(it.detail)})."
    )
    remedy = "Send less in one request, lower max_tokens, or have that server's or account's limit raised."
    return RequestTooLarge(message, remedy, status=it.status, detail=it.detail)


def _max_tokens(it: Complaint) -> ChatError:
    most = output_cap(it.text)
    message = f"{it.model} at {it.endpoint.id} gives no answer as long as max_tokens allows{quoted(it.detail)}."
    remedy = f"Lower max_tokens{f' to {most}' if most else ''} (--max-tokens, or the block's sampling)."
    return MaxTokensTooLarge(message, remedy, status=it.status, detail=it.detail, most=most)


def _wrong_key(it: Complaint) -> ChatError:
    variable = it.endpoint.key_variable
    if it.endpoint.key is None:
        message = f"{it.endpoint.id} wants a key and none is set."
        return WrongKey(message, f"Set the environment variable {variable}.", status=it.status, detail=it.detail)
    message = f"{it.endpoint.id} does not accept the key{quoted(it.detail)}."
    return WrongKey(message, f"Check {variable} or the block's api_key.", status=it.status, detail=it.detail)


def _no_access(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} does not let this key use {it.model}{quoted(it.detail)}."
    remedy = "Check the key's permissions and the account's settings."
    return WrongKey(message, remedy, status=it.status, detail=it.detail)


def _no_credit(it: Complaint) -> ChatError:
    message = f"The account at {it.endpoint.id} has no credit for this call{quoted(it.detail)}."
    return PaymentRequired(message, "Add credit or raise the key's limit.", status=it.status, detail=it.detail)


def _no_model(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} has no model {it.model}{quoted(it.detail)}."
    remedy = f"Run `ollama pull {it.model}`." if it.endpoint.provider == "ollama" else "Check the model's name there."
    return ModelNotFound(message, remedy, status=it.status, detail=it.detail)


def _no_api(it: Complaint) -> ChatError:
    message = f"No chat API answers at {it.endpoint.chat_url} (HTTP {it.status}{quoted(it.detail)})."
    remedy = "Check the base URL; that of an OpenAI-compatible server ends in /v1."
    return WrongEndpoint(message, remedy, status=it.status, detail=it.detail)


def _limited(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} limits the rate of calls to {it.model}{quoted(it.detail)}."
    remedy = "Lower max_in_flight, or run again later: what was answered is kept."
    return RateLimited(message, remedy, status=it.status, detail=it.detail, retry_after_s=it.retry_after_s)


def _timeout(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} gave up waiting for {it.model} (HTTP {it.status}{quoted(it.detail)})."
    return ChatTimeout(message, status=it.status, detail=it.detail, retry_after_s=it.retry_after_s)


def _failed(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} failed (HTTP {it.status}{quoted(it.detail)})."
    return ServerFailure(message, status=it.status, detail=it.detail, retry_after_s=it.retry_after_s)


def _refused(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} refused the conversation as against its policy{quoted(it.detail)}."
    return Refused(message, status=it.status, detail=it.detail)


def _bad_request(it: Complaint) -> ChatError:
    message = f"{it.endpoint.id} refused the request to {it.model} (HTTP {it.status}{quoted(it.detail)})."
    return BadRequest(message, status=it.status, detail=it.detail)


def _tells(of: Callable[[str], object], *statuses: int) -> Callable[[Complaint], bool]:
    return lambda it: it.status in statuses and bool(of(it.text))


def _is(*statuses: int) -> Callable[[Complaint], bool]:
    return lambda it: it.status in statuses


Rule = tuple[Callable[[Complaint], bool], Callable[[Complaint], ChatError]]

# The first that applies wins: what the words say goes before what the status says, for providers use 400 for all.
RULES: tuple[Rule, ...] = (
    (_is(401), _wrong_key),
    (_is(402), _no_credit),
    (_tells(_NO_CREDIT.search, 400, 403, 429), _no_credit),
    (_tells(larger_than_any_rate, 400, 413, 422, 429), _too_large),
    (_is(429), _limited),
    (_tells(RATE.search, 400, 403, 413, 422, 500, 502, 503), _limited),
    (_tells(output_cap, 400, 413, 422), _max_tokens),
    (_tells(IMAGE.search, 400, 413, 422), _bad_request),
    (_tells(overflow, 400, 413, 422, 500, 502, 503), _context),
    (_tells(says_output_cap, 400, 422), _max_tokens),
    (_tells(says_body, 400, 422), _too_large),
    (_is(413), _too_large),
    (_is(451), _refused),
    (_tells(_FILTER.search, 400, 403), _refused),
    (_tells(_BAD_KEY.search, 400, 403), _wrong_key),
    (_is(403), _no_access),
    (_tells(_NO_MODEL.search, 400, 404, 422), _no_model),
    (lambda it: it.status in (404, 405, 410) or 300 <= it.status < 400, _no_api),
    (_is(408), _timeout),
    (lambda it: it.status in (409, 425) or it.status >= 500, _failed),
    (lambda it: True, _bad_request),
)
