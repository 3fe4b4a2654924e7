"""What becomes of a candidate on a table, as `prove` sees it, without the cost of sessions: for many tables."""

from __future__ import annotations

import warnings
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
import statsmodels.api as sm
from pydantic import ValidationError
from scipy import stats

from flows.questions.candidates import Candidate, Facts
from flows.questions.proving import Bars


def failure(candidate: Candidate, frame: pd.DataFrame) -> str | None:
    """Why a trusted candidate would be refused as `failed` on a table; None where it would not."""
    submitted: list[Any] = []
    names = {"df": frame.copy(), "pd": pd, "np": np, "stats": stats, "sm": sm, "submit": submitted.append}
    part = ""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            guards = [("guard", code) for code in candidate.guards]
            for part, code in (*guards, ("program", candidate.program), ("probe", candidate.probe)):
                exec(code, names)
                if part != "program" and code and _stops(submitted[-1]):
                    return None
            part = "alternative"
            for code in candidate.alternatives:
                exec(code, {**names, "df": frame.copy()})
    except ValidationError as error:
        return f"{part}: {error.errors(include_url=False)[0]['msg']}"
    except Exception as error:  # Any of it is a failure.
        return f"{part}: {type(error).__name__}: {error}"
    return None


def _stops(given: dict[str, Any]) -> bool:
    """Whether these facts end the matter before anything else is run."""
    if any(isinstance(value, float) and isnan(value) for value in given.values()):
        return True
    facts, bars = Facts.model_validate(given), Bars()
    return (
        facts.trivial
        or (facts.rows is not None and facts.rows < bars.min_rows)
        or (facts.smallest_group is not None and facts.smallest_group < bars.min_group)
    )
