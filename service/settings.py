"""Settings of the service and of its clients: environment variables ``RQF_*`` and the file ``.env``."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_CONFIG = SettingsConfigDict(
    env_prefix="RQF_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
)


class Settings(BaseSettings):
    """What ``rqf serve`` reads. The field ``data`` is the variable ``RQF_DATA``, and so on.

    Raises pydantic.ValidationError for a value out of range, and for an address that other machines
    reach while neither ``tokens`` nor ``insecure`` is set.
    """

    model_config = _CONFIG

    data: str = Field("var/data", description="Directory of the store.")
    database: str | None = Field(None, description="SQLAlchemy URL; unset: SQLite inside RQF_DATA.")
    scheduler: str | None = Field(
        None, description="Address of a Dask scheduler; unset: an embedded LocalCluster."
    )
    workers: int | None = Field(
        None, ge=1, le=1024, description="Workers of the embedded cluster; unset: one per core."
    )
    host: str = Field("127.0.0.1", description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, description="Port to bind; 0: any free one.")
    tokens: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Bearer tokens that are let in, separated by commas; unset: everyone."
    )
    insecure: bool = Field(False, description="Bind a reachable address without tokens all the same.")
    max_cells: int = Field(200_000, ge=1, description="Cells that one sweep may have.")
    max_cpu_hours: float = Field(1000.0, gt=0, description="Estimated cpu-hours that one sweep may cost.")
    max_response_mb: float = Field(64.0, gt=0, description="Size of one answer of /data, in MB.")
    max_spec_kb: int = Field(1024, ge=1, description="Size of one request body, in KiB.")

    @field_validator("tokens", mode="before")
    @classmethod
    def _split_tokens(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(token for token in (part.strip() for part in value.split(",")) if token)
        return value

    @model_validator(mode="after")
    def _refuse_exposure(self) -> Self:
        if self.exposed and not self.insecure:
            raise ValueError(
                f"RQF_HOST={self.host} can be reached by other machines: set RQF_TOKENS, "
                "or RQF_INSECURE=1 to let everyone in"
            )
        return self

    @property
    def exposed(self) -> bool:
        """Whether other machines get in without a token."""
        return not self.tokens and not is_loopback(self.host)


class ClientSettings(BaseSettings):
    """What the command line reads: ``RQF_URL`` and, where the service wants one, ``RQF_TOKEN``."""

    model_config = _CONFIG

    url: str = Field("http://127.0.0.1:8000", description="URL of the service.")
    token: SecretStr | None = Field(None, description="Bearer token to show.")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches ``host``; a name other than ``localhost`` counts as reachable."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
