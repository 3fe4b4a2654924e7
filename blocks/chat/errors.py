"""Every way a model call can fail, typed: which the user can mend, which pass, which belong to one call only.

A class that is also a `UserError` has a cause outside the call (key, name, address, account): the next call will fail
alike until the user mends it. The others concern one call; `retryable` says whether sending the same again may help.
"""

from __future__ import annotations

from typing import ClassVar

from blocks.errors import TrigpointError, UserError


class ChatError(TrigpointError):
    """A model call without an answer.

    Args:
        message: What went wrong, one sentence; holds no key and no header.
        remedy: What the user can do, one sentence; may be empty.
        status: HTTP status, if the server sent one.
        detail: What the server said, shortened, with secrets struck out.
        retry_after_s: Seconds the server asked to wait, if it did.
    """

    kind: ClassVar[str] = "error"
    """Stable name for records and reports."""
    retryable: ClassVar[bool] = False
    max_attempts: ClassVar[int | None] = None
    """Fewer attempts than the policy allows; None: as the policy says."""

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        status: int | None = None,
        detail: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.requests = 0
        """HTTP requests sent before giving up."""


class UnknownModelName(ChatError, UserError):
    """A model name or base URL that names no provider."""

    kind = "unknown_model_name"


class MissingKey(ChatError, UserError):
    """The provider needs a key and none is set."""

    kind = "missing_key"


class WrongKey(ChatError, UserError):
    """The provider does not accept the key, or the key may not use this model (401, 403)."""

    kind = "wrong_key"


class PaymentRequired(ChatError, UserError):
    """The account or the key has no credit left (402, or a 429 that says so)."""

    kind = "payment_required"


class ModelNotFound(ChatError, UserError):
    """The provider does not know the model."""

    kind = "model_not_found"


class WrongEndpoint(ChatError, UserError):
    """A server answers, but no chat API lives at this address (404, 405, a redirect)."""

    kind = "wrong_endpoint"


class UnreachableEndpoint(ChatError, UserError):
    """No connection: nothing listens, the name does not resolve, the certificate is refused."""

    kind = "unreachable"
    retryable = True
    max_attempts = 4


class RateLimited(ChatError):
    """The provider asks to slow down (429, or its words), and went on doing so."""

    kind = "rate_limited"
    retryable = True


class ServerFailure(ChatError):
    """The provider failed (5xx) or was not ready (409, 425)."""

    kind = "server_failure"
    retryable = True


class ConnectionLost(ChatError):
    """The connection broke before the answer was complete."""

    kind = "connection_lost"
    retryable = True


class ChatTimeout(ChatError):
    """No complete answer within the time allowed (also 408)."""

    kind = "timeout"
    retryable = True


class MalformedReply(ChatError):
    """An answer that is no chat completion: no JSON, no choice, nothing in it."""

    kind = "malformed_reply"
    retryable = True


class TooLong(ChatError):
    """The conversation is refused for its length: a shorter one may be answered."""


class ContextOverflow(TooLong):
    """The conversation does not fit the model's context.

    Args:
        window: The model's context in tokens, if the server said so.
        asked: Tokens the call would have taken, if the server said so.
    """

    kind = "context_overflow"

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        status: int | None = None,
        detail: str = "",
        window: int | None = None,
        asked: int | None = None,
    ) -> None:
        super().__init__(message, remedy, status=status, detail=detail)
        self.window = window
        self.asked = asked


class RequestTooLarge(TooLong):
    """A proxy's limit of bytes, or the account's limit per minute, lets no request as large as this one through (413).

    It says nothing about the model's context.
    """

    kind = "request_too_large"


class MaxTokensTooLarge(ChatError, UserError):
    """`max_tokens` is more than an answer of the model may have.

    Args:
        most: The most there may be, if the server said so.
    """

    kind = "max_tokens"

    def __init__(
        self, message: str, remedy: str = "", *, status: int | None = None, detail: str = "", most: int | None = None
    ) -> None:
        super().__init__(message, remedy, status=status, detail=detail)
        self.most = most


class BadRequest(ChatError):
    """The provider refuses this request as it stands (400, 422 and other 4xx)."""

    kind = "bad_request"


class Refused(ChatError):
    """A content filter or the provider's policy held the answer back (also 451)."""

    kind = "refused"


class MissingFromJournal(ChatError, UserError):
    """Offline, and no journal has the answer."""

    kind = "missing_from_journal"


class BudgetSpent(ChatError, UserError):
    """What a run, a day or a model may spend is spent; nothing was sent."""

    kind = "budget"


class UnknownPrice(ChatError, UserError):
    """A budget of money, and a model whose price nobody has said."""

    kind = "unknown_price"


class Unbounded(ChatError, UserError):
    """What a call may take at most is unknown, or more than a limit ever allows."""

    kind = "unbounded"


class ModelAway(ChatError):
    """The model is not to be asked for longer than a call would wait: every other call to it will end alike.

    Args:
        probe_s: Seconds until it is worth asking again.
    """

    def __init__(
        self, message: str, remedy: str = "", *, probe_s: float, status: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(message, remedy, status=status, detail=detail)
        self.probe_s = probe_s


class BreakerOpen(ModelAway):
    """The model has failed for so long that no call is sent to it for a while."""

    kind = "breaker_open"


class ServerWait(ModelAway, RateLimited):
    """The server asks to send nothing for longer than a call would wait: a limit per day, for instance."""

    kind = "server_wait"
    retryable = False

    def __init__(
        self, message: str, remedy: str = "", *, probe_s: float, status: int | None = None, detail: str = ""
    ) -> None:
        super().__init__(message, remedy, probe_s=probe_s, status=status, detail=detail)
        self.retry_after_s = probe_s


class JournalError(UserError):
    """The journal cannot be read or written: locked, full, damaged, of a later version."""
