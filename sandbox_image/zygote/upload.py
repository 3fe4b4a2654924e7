"""A dataset on its way in: kept in memory, handed to the template as one descriptor, gone once it is read."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

from sandbox_image.zygote.protocol import ProtocolError
from sandbox_image.zygote.reading.rules import Rules
from sandbox_image.zygote.template import MAX_MESSAGE


class Upload:
    """The bytes of one LOAD.

    Args:
        header: The LOAD frame: bytes, rules, max_columns.
        folder: Where the bytes lie if the kernel gives no memory file.

    Raises:
        ProtocolError: The header makes no sense.
    """

    def __init__(self, header: dict[str, Any], folder: str) -> None:
        announced = header.get("bytes")
        if not isinstance(announced, int) or announced < 0:
            raise ProtocolError("a LOAD needs a whole number `bytes`")
        self._announced = announced
        self.options = {name: header.get(name) for name in ("rules", "max_columns")}
        if not isinstance(self.options["max_columns"], int):
            raise ProtocolError("a LOAD needs a whole number `max_columns`")
        try:
            Rules.parse(self.options["rules"])
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        self.complete = False
        self._received = 0
        self.descriptor = _memory_file(folder)

    def write(self, data: bytes) -> None:
        """Add bytes. More than announced are counted, not kept."""
        self._received += len(data)
        if self._received > self._announced:
            return
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]

    @property
    def message(self) -> bytes:
        """What the template is told of it."""
        return json.dumps({"op": "load", **self.options}).encode()

    def problem(self) -> str:
        """What is wrong with what came, or nothing."""
        if self._received != self._announced:
            announced = f"{self._announced:,}"
            return f"The file has {self._received:,} bytes where {announced} were announced; it changed meanwhile."
        return ""

    def excess(self) -> str:
        """What is said of rules that no message to the template carries, or nothing."""
        if len(self.message) <= MAX_MESSAGE:
            return ""
        return f"The reading rules take more than {MAX_MESSAGE // 1024} KiB: give fewer types or lines to skip."

    def close(self) -> None:
        """Give the bytes up. The template has a descriptor of its own by then."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _memory_file(folder: str) -> int:
    try:
        return os.memfd_create("dataset", os.MFD_CLOEXEC)
    except OSError:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.dup(file.fileno())
