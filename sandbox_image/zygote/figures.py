"""Figures a cell leaves open or shows become PNG events."""

from __future__ import annotations

import base64
import io
import sys

from sandbox_image.zygote.events import EventPipe

_DPI = 100


class Figures:
    """Sends matplotlib's open figures and closes them."""

    def __init__(self, events: EventPipe, max_figures: int) -> None:
        self._events = events
        self._max = max_figures
        self._sent = 0

    def begin(self) -> None:
        """A new cell counts its figures anew."""
        self._sent = 0

    def show(self, *_: object, **__: object) -> None:
        """Stands for `plt.show`: send what is open now."""
        import matplotlib.pyplot as plt

        left_out = 0
        try:
            for number in plt.get_fignums():
                if self._sent >= self._max:
                    left_out += 1
                else:
                    self._send(plt.figure(number))
        finally:
            plt.close("all")
        if left_out:
            sys.stderr.write(f"{left_out} figures were left out: a cell may show {self._max}.\n")

    def _send(self, figure: object) -> None:
        png = io.BytesIO()
        # The file names no software version: the same plot is the same bytes.
        figure.savefig(png, format="png", dpi=_DPI, metadata={"Software": None})  # type: ignore[attr-defined]
        self._sent += 1
        if not self._events.event(type="figure", png=base64.b64encode(png.getvalue()).decode()):
            sys.stderr.write(f"A figure of {png.tell():,} bytes was left out: it is too large.\n")
