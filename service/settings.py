"""Settings of the service and of its clients: environment variables ``RQF_*`` and the file ``.env``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.addresses import is_loopback
from service.tokens import Keyring, Token, distinct
from sweeps.quota import Quota

_CONFIG = SettingsConfigDict(
    env_prefix="RQF_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
)
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.lower() for part in (part.strip() for part in value.split(",")) if part)
    return value


def _hidden(value: object) -> object:
    """Errors show their input: a token must not be in it."""
    return SecretStr(value) if isinstance(value, str) else value


def _tokens(value: object) -> object:
    if isinstance(value, SecretStr):
        value = tuple(part for part in (part.strip() for part in value.get_secret_value().split(",")) if part)
    if isinstance(value, tuple):
        return distinct(Token.parse(part) if isinstance(part, str) else part for part in value)
    return value


class Settings(BaseSettings):
    """What ``rqf serve`` reads. The field ``data`` is the variable ``RQF_DATA``, and so on.

    Raises pydantic.ValidationError for a value out of range, and for an address that other machines
    reach while neither ``tokens`` nor ``insecure`` is set.
    """

    model_config = _CONFIG

    data: str = Field("var/data", description="Directory of the store; may be on a shared file system.")
    database: str | None = Field(None, description="SQLAlchemy URL; unset: SQLite inside RQF_DATA.")
    scheduler: str | None = Field(
        None, description="Address of a Dask scheduler; unset: an embedded LocalCluster."
    )
    workers: int | None = Field(
        None, ge=1, le=1024, description="Workers of the embedded cluster; unset: one per core."
    )
    host: str = Field("127.0.0.1", description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, description="Port to bind; 0: any free one.")
    tokens: Annotated[tuple[Token, ...], NoDecode, BeforeValidator(_tokens), BeforeValidator(_hidden)] = (
        Field((), description="Tokens that are let in, separated by commas: [[NAME:]ROLE:]TOKEN.")
    )
    tokens_file: Path | None = Field(
        None,
        description="File of mode 600 with a line NAME ROLE HASH for each token; read anew when it changes.",
    )
    insecure: bool = Field(False, description="Bind a reachable address without tokens all the same.")
    max_cells: int = Field(200_000, ge=1, description="Cells that one sweep may have.")
    max_cpu_hours: float = Field(1000.0, gt=0, description="Estimated cpu-hours that one sweep may cost.")
    max_response_mb: float = Field(64.0, gt=0, description="Size of one answer of /data, in MB.")
    token_max_sweeps: int | None = Field(
        None,
        ge=0,
        description="Sweeps of one token that may be queued, running and paused; unset: any number.",
    )
    token_max_cells: int | None = Field(None, ge=0, description="Cells of all of these sweeps.")
    token_max_cpu_hours: float | None = Field(
        None, ge=0, allow_inf_nan=False, description="Estimated cpu-hours of all of these sweeps."
    )
    token_requests_per_second: float | None = Field(
        None, ge=0.01, le=1e6, description="Requests per second of one token, ten seconds' worth at once."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (),
        description="Origins, separated by commas, whose pages may use the service; unset: none but its own.",
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="Names, separated by commas, under which the service is reached besides localhost."
    )
    dashboard_proxy: bool = Field(
        False, description="Serve the Dask dashboard at /dask, behind the same tokens."
    )
    log_format: Literal["text", "json"] = Field("text", description="text, or json: one object per line.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="DEBUG tells of every request, also of those that poll."
    )
    max_spec_kb: int = Field(1024, ge=1, description="Size of one request body, in KiB.")

    @field_validator("data")
    @classmethod
    def _check_data(cls, data: str) -> str:
        # As a path, it would be made: ./s3:/bucket/x.
        if "://" in data:
            raise ValueError("a directory, which may be on a shared file system")
        return data

    @field_validator("tokens_file")
    @classmethod
    def _check_tokens_file(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        try:
            Keyring(info.data.get("tokens", ()), path)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"a file that can be read: {error}") from None
        return path

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError("origins such as https://notes.example.org, each by its name")
        return origins

    @model_validator(mode="after")
    def _refuse_exposure(self) -> Self:
        if self.exposed and not self.insecure:
            raise ValueError(
                f"RQF_HOST={self.host} can be reached by other machines: set RQF_TOKENS or "
                "RQF_TOKENS_FILE, or RQF_INSECURE=1 to let everyone in"
            )
        return self

    @property
    def exposed(self) -> bool:
        """Whether other machines get in without a token."""
        return not self.guarded and not is_loopback(self.host)

    @property
    def guarded(self) -> bool:
        """Whether a token is needed."""
        return bool(self.tokens) or self.tokens_file is not None

    @property
    def quota(self) -> Quota | None:
        """What the sweeps of one token may ask for at a time; None: anything."""
        quota = Quota(self.token_max_sweeps, self.token_max_cells, self.token_max_cpu_hours)
        return None if quota == Quota() else quota

    @property
    def checks_hosts(self) -> bool:
        """Whether requests are let in only under a known name.

        Always on loopback without tokens: there, whoever gets a browser to ask is in.
        """
        return bool(self.allowed_hosts) or not (self.guarded or self.exposed)


class ClientSettings(BaseSettings):
    """What the command line reads: ``RQF_URL`` and, where the service wants one, ``RQF_TOKEN``."""

    model_config = _CONFIG

    url: str = Field("http://127.0.0.1:8000", description="URL of the service.")
    token: SecretStr | None = Field(None, description="Bearer token to show.")
