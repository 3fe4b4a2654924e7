"""The error hierarchy: what Trigpoint raises, and which errors are the user's to mend."""

from __future__ import annotations


class TrigpointError(Exception):
    """Anything Trigpoint raises on purpose.

    Args:
        message: What went wrong, one sentence.
        remedy: What the user can do about it, one sentence; may be empty.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        """The sentence a user reads: the message and, where there is one, the remedy."""
        return f"{self.message} {self.remedy}".strip()


def words_of(error: Exception) -> str:
    """An error that nobody foresaw on one line: its type, and what it says of itself."""
    return f"{type(error).__name__}: {' '.join(str(error).split()) or 'no more is known'}"


class UserError(TrigpointError):
    """A mistake the user can mend: shown as one sentence with the remedy, never as a traceback."""


class DatasetError(UserError):
    """A dataset that cannot be read: missing, empty, not a table, too large."""


class SandboxError(TrigpointError):
    """The sandbox itself failed (not the code run in it)."""


class SandboxUnavailable(UserError):
    """The runtime asked for cannot be used here: no engine, no Landlock, no image."""


class SandboxLost(SandboxError):
    """The zygote or its container died or stopped answering; open sessions lost their state."""
