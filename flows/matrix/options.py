"""What a user may choose about an experiment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from blocks.errors import UserError
from flows.runs.options import SpendingOptions

PROVIDERS = ("mock", "openrouter", "openai", "ollama", "compatible", "block")
"""What may stand in the column `provider`."""

_Calls = Annotated[int, Field(ge=1, le=1024)]


class ExperimentOptions(SpendingOptions):
    """How an experiment is run."""

    flatten: Annotated[bool, Field(description="answers that hold JSON get a column for each of its fields")] = False
    order: Annotated[
        Literal["row", "finished"], Field(description="rows of the output as in the experiments, or as they finished")
    ] = "row"
    base_url: Annotated[
        str | None, Field(description="where rows of the provider `compatible` are asked, http(s)://HOST/v1")
    ] = None
    temperature: Annotated[
        float | None, Field(ge=0, le=2, description="of rows without a temperature; empty: the provider's")
    ] = None
    max_tokens: Annotated[
        int | None, Field(ge=1, description="tokens of an answer, of rows without max_tokens; empty: the provider's")
    ] = None
    sample: Annotated[
        int, Field(ge=0, description="which independent sample; another number asks what was answered once more")
    ] = 0
    plain: Annotated[
        tuple[str, ...], Field(description="columns that are variables only, though named like a parameter, as `seed`")
    ] = ()
    timeout: Annotated[float, Field(gt=0, description="seconds for one request")] = 300.0
    max_concurrent: Annotated[int, Field(ge=1, le=1024, description="calls under way at once, all providers")] = 64
    openrouter_concurrency: Annotated[_Calls, Field(description="calls under way at once")] = 10
    openai_concurrency: Annotated[_Calls, Field(description="calls under way at once")] = 10
    compatible_concurrency: Annotated[_Calls, Field(description="calls under way at once")] = 10
    ollama_concurrency: Annotated[_Calls, Field(description="calls under way at once")] = 1
    mock_concurrency: Annotated[_Calls, Field(description="calls under way at once")] = 50
    block_concurrency: Annotated[
        _Calls, Field(description="calls under way at once of models from Chat Model blocks")
    ] = 10
    sequential: Annotated[bool, Field(description="one row after the other, in their order")] = False
    context_share: Annotated[
        float, Field(gt=0, le=1, description="rows whose prompt takes more of the window, by estimate, are not sent")
    ] = 0.9
    check_context: Annotated[
        bool, Field(description="ask the provider for the windows of its models, and check before sending")
    ] = True
    strict: Annotated[
        bool, Field(description="a {{variable}} that no column has is an error before anything is asked")
    ] = False
    validate_only: Annotated[bool, Field(description="check everything, ask no model anything")] = False
    fresh: Annotated[bool, Field(description="begin anew; what was there is set aside under another name")] = False
    report: Annotated[bool, Field(description="write the comparison as an HTML page")] = True
    side_by_side: Annotated[int, Field(ge=0, le=1000, description="prompts whose answers the page shows")] = 50

    def concurrency(self, provider: str) -> int:
        """Calls of a provider under way at once."""
        found: int = getattr(self, f"{provider}_concurrency", 1)
        return found

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UserError: See above.
        """
        if self.fresh and self.validate_only:
            raise UserError("--fresh begins anew and --validate-only begins nothing.", "Give one of them.")
