"""The Block classes of Trigpoint, as Prefect's collection entry point finds them."""

from __future__ import annotations

from blocks.budget import Budget
from blocks.chat_model import ChatModel
from blocks.dataset_source import FsspecSource, HttpSource, KaggleSource, LocalSource
from blocks.sandbox_pool import SandboxPoolBlock

__all__ = ["Budget", "ChatModel", "FsspecSource", "HttpSource", "KaggleSource", "LocalSource", "SandboxPoolBlock"]
