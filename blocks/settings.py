"""Settings of the installation, read from TRIGPOINT_* environment variables."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from blocks.errors import UserError


class Settings(BaseSettings):
    """Where things are kept and which defaults hold here."""

    # A variable that is set to nothing is as one that is not set: an empty home would be the current folder.
    model_config = SettingsConfigDict(env_prefix="TRIGPOINT_", frozen=True, env_ignore_empty=True)

    home: Path = Field(default=Path("data"), description="TRIGPOINT_HOME: datasets, episodes, exports, results, store")
    store_url: SecretStr = Field(
        default=SecretStr(""),
        description="a store many hosts share: postgresql+psycopg://USER:PASSWORD@HOST/DATABASE, or block:NAME, a"
        " Secret block that holds that; empty: the SQLite file of the home",
    )
    storage: str = Field(
        default="", description="TYPE/NAME of a saved block that hosts share data and results through; empty: the home"
    )
    sandbox_image: str = Field(default="trigpoint-sandbox:latest", description="image of the docker runtime")
    flow_image: str = Field(
        default="trigpoint-flow:latest", description="image of flow runs, as `make images` names it"
    )
    runtime: Literal["auto", "docker", "process"] = Field(
        default="auto", description="what a run's runtime `auto` means here; the flow image says docker"
    )
    build: str = Field(default="", description="digest of the sources of the flow image this runs in; empty: in none")
    max_containers: int = Field(default=4, ge=1, description="sandboxes alive at once, all processes together")
    warm_s: float = Field(
        default=0.0,
        ge=0,
        description="how long a sandbox of the docker runtime waits for a next run on the same dataset, seconds; 0: it"
        " ends with its run",
    )
    server_ttl: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="how long the Prefect server that local runs start stays after the last of them, for the next to"
        " begin sooner, seconds; 0: it ends with its run",
    )
    trust_proxy: bool = Field(default=False, description="model calls go through HTTP_PROXY and HTTPS_PROXY")

    @property
    def store_file(self) -> Path:
        """The SQLite file with journal and ledger, where `store_url` names no other; see `blocks.store`."""
        return self.home / "store.db"


@cache
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        UserError: A variable says what it cannot mean.
    """
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
        name = str(wrong["loc"][0])
        said = f"The setting TRIGPOINT_{name.upper()} is {wrong['input']!r}: {wrong['msg']}."
        default = Settings.model_fields[name].default
        raise UserError(said, f"Mend the variable or unset it, then it is {default!r}.") from error
