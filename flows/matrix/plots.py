"""The plots of a comparison: success, latency, tokens and cost of each model, as one SVG picture."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flows.matrix.report import ModelSummary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_MODELS = 24
_INK = "#010203"
"""Stands for the page's own colour of text, light or dark."""
_GRID = "#88888855"
_OK, _WARNING, _ERROR, _FIRST, _SECOND = "#3a9a5b", "#d9a321", "#cc4b3c", "#3b76b8", "#8fb4dc"
_LONGEST_NAME = 40


def comparison_svg(models: Sequence[ModelSummary]) -> str:
    """The plots, to stand in an HTML page; empty where there is nothing to compare."""
    # Half a second, and only a run that writes a page needs it.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    shown = list(models[:MOST_MODELS])[::-1]
    if not shown:
        return ""
    style: Any = {"svg.fonttype": "none", "svg.hashsalt": "trigpoint", "font.size": 9, "font.family": "sans-serif"}
    with mpl.rc_context(style), warnings.catch_warnings():
        # A name in a script the font lacks is drawn by the browser's fonts.
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(10, 1.6 + 2 * max(1.1, 0.36 * len(shown))), layout="constrained")
        figure.get_layout_engine().set(hspace=0.08, wspace=0.04)  # type: ignore[union-attr, call-arg]
        axes = figure.subplots(2, 2, sharey=True)
        _success(axes[0][0], shown)
        _latency(axes[0][1], shown)
        _tokens(axes[1][0], shown)
        _cost(axes[1][1], shown)
        for each in axes.flat:
            _plain(each, shown)
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    picture = file.getvalue()
    return picture[picture.index("<svg") :].replace(_INK, "currentColor")


def _success(axes: Axes, models: Sequence[ModelSummary]) -> None:
    left = [0.0] * len(models)
    for name, colour in (("ok", _OK), ("warning", _WARNING), ("error", _ERROR)):
        shares = [100 * getattr(model, name) / model.rows for model in models]
        if any(shares):
            axes.barh(range(len(models)), shares, left=left, color=colour, label=name, height=0.6)
        left = [first + second for first, second in zip(left, shares, strict=True)]
    _titled(axes, "rows, %")
    axes.set_xlim(0, 100)
    _legend(axes)


def _latency(axes: Axes, models: Sequence[ModelSummary]) -> None:
    axes.barh(
        range(len(models)), [model.latency_p95_s or 0 for model in models], color=_SECOND, height=0.6, label="p95"
    )
    axes.barh(range(len(models)), [model.latency_p50_s or 0 for model in models], color=_FIRST, height=0.6, label="p50")
    _titled(axes, "latency, seconds")
    _legend(axes)


def _tokens(axes: Axes, models: Sequence[ModelSummary]) -> None:
    counted = [max(model.counted, 1) for model in models]
    sent = [model.prompt_tokens / count for model, count in zip(models, counted, strict=True)]
    got = [model.completion_tokens / count for model, count in zip(models, counted, strict=True)]
    axes.barh([at + 0.16 for at in range(len(models))], sent, color=_SECOND, height=0.3, label="prompt")
    axes.barh([at - 0.16 for at in range(len(models))], got, color=_FIRST, height=0.3, label="answer")
    _titled(axes, "tokens per answered row")
    _legend(axes)


def _cost(axes: Axes, models: Sequence[ModelSummary]) -> None:
    known = [model.cost_usd or 0.0 for model in models]
    if any(known):
        axes.barh(range(len(models)), known, color=_FIRST, height=0.6)
    else:
        axes.set_xlim(0, 1)
        axes.set_xticks([0])
    for at, model in enumerate(models):
        if model.answered and not known[at]:
            told = "unknown" if model.cost_usd is None else "nothing"
            axes.text(0, at, f" {told}", va="center", color=_INK, alpha=0.6)
    _titled(axes, "cost, US$")


def _titled(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", color=_INK)


def _plain(axes: Axes, models: Sequence[ModelSummary]) -> None:
    axes.set_yticks(range(len(models)), labels=[_short(model.name) for model in models])
    axes.set_ylim(-0.6, len(models) - 0.4)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, colors=_INK)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)


def _legend(axes: Axes) -> None:
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.01, 0.99), frameon=False, labelcolor=_INK, ncols=3, fontsize=8,
        borderaxespad=0, handlelength=1, columnspacing=1,
    )  # fmt: skip


def _short(name: str) -> str:
    name = "".join(sign if sign.isprintable() else "�" for sign in name)
    return name if len(name) <= _LONGEST_NAME else "…" + name[-_LONGEST_NAME + 1 :]
