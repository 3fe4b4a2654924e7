"""Settings of the installation, read from TRIGPOINT_* environment variables."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where things are kept and which defaults hold here."""

    model_config = SettingsConfigDict(env_prefix="TRIGPOINT_", frozen=True)

    home: Path = Field(default=Path("data"), description="TRIGPOINT_HOME: datasets, episodes, exports, results, store")
    sandbox_image: str = Field(default="trigpoint-sandbox:latest", description="image of the docker runtime")
    max_containers: int = Field(default=4, ge=1, description="sandboxes alive at once, all processes together")
    trust_proxy: bool = Field(default=False, description="model calls go through HTTP_PROXY and HTTPS_PROXY")

    @property
    def store(self) -> Path:
        """The SQLite file with journal, ledger and executions."""
        return self.home / "store.db"


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
