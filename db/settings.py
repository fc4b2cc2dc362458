"""Settings that several processes share, and the one way to load any of them."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from db.policy import Settings as PolicyRules


class CommonSettings(BaseSettings):
    """Environment first, then `.env` in the working directory. Empty means unset."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )
    required_in_production: ClassVar[tuple[str, ...]] = ("database_url",)

    environment: Literal["production", "development"] = "production"
    database_url: SecretStr | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    @property
    def in_development(self) -> bool:
        return self.environment == "development"


class PolicySettings(CommonSettings):
    """For the processes that decide when to charge again: the receiver and the daemon."""

    retry_policy: Literal["smart", "hourly"] = "smart"
    retry_interval_minutes: int = Field(60, ge=1, le=24 * 60)
    max_retries: int = Field(3, ge=0, le=15)

    @property
    def rules(self) -> PolicyRules:
        return PolicyRules(
            self.retry_policy, timedelta(minutes=self.retry_interval_minutes), self.max_retries
        )


AnySettings = TypeVar("AnySettings", bound=CommonSettings)


def load_settings(kind: type[AnySettings], **overrides: Any) -> AnySettings:
    """Everything wrong is named at once, without its value, and the process stops (exit 2)."""
    try:
        settings = kind(**overrides)
    except ValidationError as error:
        problems = [f"{e['loc'][0]!s}".upper() + f": {e['msg']}" for e in error.errors()]
        stop(kind, problems)
    if not settings.in_development:
        missing = [name for name in kind.required_in_production if not getattr(settings, name)]
        if missing:
            stop(kind, [f"{name.upper()}: missing" for name in missing])
    return settings


def stop(kind: type[CommonSettings], problems: list[str]) -> Any:
    name = kind.__module__.split(".")[0]
    lines = "\n".join(f"  {problem}" for problem in problems)
    sys.stderr.write(
        f"{name} cannot start; settings to correct:\n{lines}\n"
        "README.md lists every setting. On your own machine: cp .env.example .env\n"
    )
    raise SystemExit(2)
