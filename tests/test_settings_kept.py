"""A setting that an operator has set goes on being read, whatever the code around it becomes."""

from __future__ import annotations

import pytest

from daemon.settings import DaemonSettings
from dashboard.settings import DashboardSettings, ServerSettings
from db.settings import CommonSettings
from sandbox.demo.live import settings_from
from webhook.settings import WebhookSettings

EVERY_PROCESS = {
    "ENVIRONMENT": "development",
    "DATABASE_URL": "postgresql://somebody@host/name",
    "LOG_LEVEL": "DEBUG",
    "LOG_FORMAT": "json",
}
POLICY = {"RETRY_POLICY": "hourly", "RETRY_INTERVAL_MINUTES": "7", "MAX_RETRIES": "2"}
MAIL = {"EMAIL_ENABLED": "true", "LINK_SECRET": "a secret of the links, long enough for this"}
COMPANY = {"WHOP_COMPANY_ID": "biz_a"}
FRONTEND = {"FRONTEND_URL": "https://dashboard.example.com"}
BASE = {"BASE_URL": "https://receiver.example.com"}
SENDGRID_PUBLIC_KEY = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5lXZgcp+JM6vfY1Yb6Z60y4UQJkEQ5GNZBP+7/NHozUOv1jJJnJIDWyt"
    "bxCzUhyONWn8r/fL6d1/VGU4WMbC1Q=="
)
# As version 0.1.0 read them, process by process. Lines are added here, and none is taken out.
READ_BY: dict[type[CommonSettings], dict[str, str]] = {
    WebhookSettings: {
        **EVERY_PROCESS,
        **POLICY,
        **MAIL,
        **COMPANY,
        **FRONTEND,
        "WHOP_WEBHOOK_SECRET": "ws_a",
        "API_TOKEN": "t",
        "SENDGRID_WEBHOOK_KEY": SENDGRID_PUBLIC_KEY,
    },
    DaemonSettings: {
        **EVERY_PROCESS,
        **POLICY,
        **MAIL,
        **COMPANY,
        **FRONTEND,
        **BASE,
        "WHOP_API_KEY": "apik_a",
        "WHOP_API_URL": "https://whop.example.com/api/v1",
        "WHOP_API_VERSION": "2026-01-01",
        "WHOP_RATE_PER_MINUTE": "99",
        "SENDGRID_API_KEY": "SG.a",
        "SENDGRID_API_URL": "https://sendgrid.example.com",
        "SENDGRID_SANDBOX_MODE": "true",
        "EMAIL_FROM": "A <a@example.com>",
    },
    ServerSettings: {
        **EVERY_PROCESS,
        **POLICY,
        **COMPANY,
        **BASE,
        "EMAIL_ENABLED": "true",
        "FRAME_ANCESTORS": "https://whop.com https://*.whop.com",
    },
    DashboardSettings: {**EVERY_PROCESS, **POLICY, **COMPANY, **BASE, "EMAIL_ENABLED": "true"},
    CommonSettings: EVERY_PROCESS,
}
SANDBOX = {
    "SANDBOX_HOST": "127.0.0.2",
    "SANDBOX_PORT": "9001",
    "SANDBOX_FILE": "elsewhere.sqlite",
    "SANDBOX_FAILURES_PER_MINUTE": "1",
    "SANDBOX_SEED": "7",
    "WHOP_COMPANY_ID": "biz_a",
    "WHOP_WEBHOOK_SECRET": "ws_a",
    "WEBHOOK_URL": "http://localhost:1/webhook/whop",
    "WHOP_API_KEY": "apik_a",
    "SENDGRID_API_KEY": "SG.a",
    "MAIL_EVENTS_URL": "http://localhost:1/webhook/sendgrid",
}
EACH = [(kind, name) for kind, settings in READ_BY.items() for name in settings]


@pytest.mark.parametrize(("kind", "name"), EACH, ids=lambda one: getattr(one, "__name__", one))
def test_it_is_still_read(
    monkeypatch: pytest.MonkeyPatch, kind: type[CommonSettings], name: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("TRUSTED_USER_HEADER", "X-Forwarded-Email")  # by ENVIRONMENT
    for needed in ("LINK_SECRET", "SENDGRID_API_KEY", "EMAIL_FROM"):  # by EMAIL_ENABLED
        monkeypatch.setenv(needed, READ_BY[DaemonSettings][needed])
    monkeypatch.delenv(name, raising=False)
    before = kind(_env_file=None)
    monkeypatch.setenv(name, READ_BY[kind][name])
    assert kind(_env_file=None) != before


@pytest.mark.parametrize("name", SANDBOX)
def test_the_sandbox_still_reads_it(name: str) -> None:
    assert settings_from({name: SANDBOX[name]}) != settings_from({})
