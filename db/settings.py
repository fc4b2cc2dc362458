"""Settings that several processes share, and loading them."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, ClassVar, Literal, NoReturn, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    SettingsConfigDict,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from recovery.retrying.context import RetryRules

SHORTEST_SECRET = 32


def normalize_url(url: str) -> URL:
    """Hosts give out `postgres://`, while SQLAlchemy needs the driver's name. Raises ValueError."""
    try:
        parsed = make_url(url.strip())
    except ArgumentError:
        raise ValueError("it is not the address of a database") from None
    if parsed.drivername not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        raise ValueError(f"it must be a Postgres address, not {parsed.drivername}://")
    return parsed.set(drivername="postgresql+psycopg2")


class CommonSettings(BaseSettings):
    """From the environment, then from `.env` in the working directory. Empty means unset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )
    required_in_production: ClassVar[tuple[str, ...]] = ("database_url",)

    environment: Literal["production", "development"] = "production"
    database_url: SecretStr | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @field_validator("database_url")
    @classmethod
    def check_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            normalize_url(value.get_secret_value())
        return value

    @property
    def in_development(self) -> bool:
        return self.environment == "development"


class PolicySettings(CommonSettings):
    """For the processes that decide when to charge again, and the one that shows it."""

    retry_policy: Literal["smart", "hourly"] = "smart"
    retry_interval_minutes: int = Field(60, ge=1, le=24 * 60)
    max_retries: int = Field(3, ge=0, le=15)

    @property
    def rules(self) -> RetryRules:
        return RetryRules(
            self.retry_policy, timedelta(minutes=self.retry_interval_minutes), self.max_retries
        )


class MailSettings(PolicySettings):
    """For the processes that write to members, or receive what the mail service reports."""

    email_enabled: bool = False
    link_secret: SecretStr = SecretStr("")

    def missing_for_mail(self) -> list[str]:
        """In development, emails may go without a link to unsubscribe."""
        return [] if self.link_secret or self.in_development else ["LINK_SECRET"]

    @model_validator(mode="after")
    def check_email(self) -> MailSettings:
        if self.email_enabled and (missing := self.missing_for_mail()):
            raise ValueError(f"EMAIL_ENABLED needs {', '.join(missing)}")
        return self

    @field_validator("link_secret")
    @classmethod
    def check_link_secret(cls, value: SecretStr) -> SecretStr:
        # Anybody with a link could find a short secret by trying, without our noticing.
        if 0 < len(value) < SHORTEST_SECRET:
            raise ValueError(f"it needs at least {SHORTEST_SECRET} characters")
        return value


AnySettings = TypeVar("AnySettings", bound=CommonSettings)


def load_settings(kind: type[AnySettings], **overrides: Any) -> AnySettings:
    """Names everything that is wrong at once, without the values, and exits with 2."""
    problems = [f"{name.upper()}: missing" for name in find_missing(kind, overrides)]
    try:
        settings = kind(**overrides)
    except ValidationError as error:
        for problem in error.errors():
            named = "".join(f"{name}: ".upper() for name in problem["loc"][:1])
            problems.append(named + problem["msg"].removeprefix("Value error, "))
        stop(kind, problems)
    if problems:
        stop(kind, problems)
    return settings


def find_missing(kind: type[CommonSettings], overrides: dict[str, Any]) -> list[str]:
    """From the raw values, so that missing settings are named together with wrong ones."""
    given = DotEnvSettingsSource(kind)() | EnvSettingsSource(kind)() | overrides
    if given.get("environment") == "development":
        return []
    return [name for name in kind.required_in_production if not given.get(name)]


def stop(kind: type[CommonSettings], problems: list[str]) -> NoReturn:
    name = kind.__module__.split(".")[0]
    lines = "\n".join(f"  {problem}" for problem in problems)
    sys.stderr.write(
        f"{name} cannot start. Please correct these settings:\n{lines}\n"
        "README.md lists every setting. On your own machine: cp .env.example .env\n"
    )
    raise SystemExit(2)
