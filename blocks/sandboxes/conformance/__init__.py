"""The conformance suite: what every runtime of the sandbox must keep, as named checks that any test can run.

A new runtime is proven by one test module:

    SUBJECT = Subject(factory="my_package:MyRuntime")

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def arena(tmp_path_factory):
        async with Arena.open(SUBJECT, tmp_path_factory.mktemp("arena")) as arena:
            yield arena

    @pytest.mark.asyncio(loop_scope="module")
    @pytest.mark.parametrize("promise", CHECKS)
    async def test_the_promise_holds(arena, promise):
        await CHECKS[promise](arena)

Each check's docstring is the promise. A check raises `PromiseBroken` with what was seen instead. The suite must run on
the host whose processes the runtime starts (it looks for what is left of them), and needs nothing but this package.
"""

from __future__ import annotations

from blocks.sandboxes.conformance import (  # noqa: F401  importing a module registers its checks
    deaths,
    doors,
    floods,
    footprints,
    honest,
    lifecycle,
    meddling,
    secrecy,
    spoilt,
    survival,
)
from blocks.sandboxes.conformance.harness import CHECKS, LIMITS, Arena, Check, PromiseBroken, Subject

__all__ = ["CHECKS", "LIMITS", "Arena", "Check", "PromiseBroken", "Subject"]
