"""Questions from programs: a typed grammar of data-analysis operators, enumerated, bound to columns and put into words.

`propose_programs` is the way in.
"""

from __future__ import annotations

from flows.questions.programs.proposing import propose_programs

__all__ = ["propose_programs"]
