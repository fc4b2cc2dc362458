"""A half-year as it can be looked at: each page, route and mail, at any time zone's end of it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import streamlit as st
from sqlalchemy import delete, select
from streamlit.testing.v1 import AppTest

from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.models import Notice, Payment
from sandbox.servers.sendgrid import SendGrid
from tests.auditor import OURS, Books, cents, read_stories
from tests.factories import COMPANY
from tests.half_year import END, HalfYear
from tests.mail_service import make_settings
from webhook.app import create_app

APP = Path(__file__).resolve().parent.parent / "dashboard" / "navigation.py"
HELD_OUT = 30
PAGE = """
from dashboard.settings import DashboardSettings
from dashboard.views.{name} import page
from db.settings import load_settings

page.show(load_settings(DashboardSettings))
"""


class Fixed(datetime):
    """The clock of those who ask the machine."""

    at = END

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.at.astimezone(tz)


class Audited:
    """The half-year, and the ways to look at it."""

    def __init__(self, half: HalfYear, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.half, self.url = half, database_url
        self.month_ends: dict[date, tuple[Decimal, Decimal]] = {}
        half.note_month_end = note_month_end(self.month_ends)
        for name, value in (("DATABASE_URL", database_url), ("WHOP_COMPANY_ID", COMPANY)):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("db.session.datetime", Fixed)

    def use_zone(self, zone: ZoneInfo) -> None:
        st.cache_data.clear()
        with self.half.sessions.begin() as session:
            settings = RecoverySettings(time_zone=zone.key, holdout_percent=HELD_OUT)
            save_recovery_settings(session, COMPANY, settings, "somebody", self.half.clock.now)

    def books(self, zone: ZoneInfo, now: datetime = END) -> Books:
        books = open_books(self.half, zone, now)
        books.month_ends = self.month_ends
        return books

    def get(self, path: str, **query: str) -> Any:
        app = create_app(make_settings(), self.half.sessions.kw["bind"], self.half.clock)

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as client:
                headers = {"Authorization": "Bearer t0ken"}
                asked = {"company_id": COMPANY} | query
                return await client.get(path, params=asked, headers=headers)

        answer = asyncio.run(ask())
        assert answer.status_code == 200, answer.text
        return answer.json()

    def list_payments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get("/payments/list", limit="200", **cursor)
            found += page["payments"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}

    def open_overview(self, **query: str) -> AppTest:
        return self.run(AppTest.from_file(str(APP), default_timeout=60), query)

    def open(self, name: str, **query: str) -> AppTest:
        return self.run(AppTest.from_string(PAGE.format(name=name), default_timeout=60), query)

    def run(self, page: AppTest, query: dict[str, str]) -> AppTest:
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page

    def read_digest(self, zone: ZoneInfo) -> str:
        """That of this week's Monday."""
        half, friday = self.half, END.astimezone(zone)
        monday = friday.date() - timedelta(days=friday.weekday())
        half.clock.now = datetime.combine(monday, time(8, 30), zone)
        with half.sessions.begin() as session:
            session.execute(delete(Notice))
            chosen = NotificationSettings(digest=True, digest_to="creator@example.com")
            save_notification_settings(session, COMPANY, chosen, "somebody", half.clock.now)
        half.notifier.notify_due()
        half.clock.now = END
        mails = SendGrid(half.world).mails()
        mail = next(one for one in mails if one.recipients == ["creator@example.com"])
        return str(mail.sent["content"][0]["value"])


def note_month_end(books_of: dict[date, tuple[Decimal, Decimal]]) -> Callable[[HalfYear], None]:
    def note(half: HalfYear) -> None:
        books = open_books(half, half.zone, half.clock.now)
        last = (books.today - timedelta(days=1)).replace(day=1)
        split = books.split(books.paid_on(lambda day: day.replace(day=1) == last))
        books_of[last] = (
            sum(split.values(), Decimal(0)),
            sum((split[way] for way in OURS), Decimal(0)),
        )

    return note


def open_books(half: HalfYear, zone: ZoneInfo, now: datetime) -> Books:
    """Who is said to have brought what, and who is left alone, is what the product says; the rest
    is the ledger's."""
    stories = read_stories(half.world, half.set_up_at)
    asked = select(
        Payment.payment_id,
        Payment.recovered_by,
        Payment.status,
        Payment.held_out,
        Payment.assigned_share,
        Payment.member_id,
    )
    with half.sessions() as session:
        told = {row.payment_id: row for row in session.execute(asked)}
    for one in stories:
        if (row := told.get(one.payment.id)) is not None:
            one.said = row.recovered_by and str(row.recovered_by)
            one.given_up = row.status == "permanent_fail"
            one.held_out, one.member = row.held_out, row.member_id
            one.share = row.assigned_share / 100 if row.assigned_share else None
    return Books(stories, zone, now)


# --- what is read --------------------------------------------------------------------------------


def read_bodies(page: AppTest) -> str:
    return "\n".join(block.proto.body for block in page.get("html"))


def read_plain(page: AppTest) -> str:
    lines = read_bodies(page).replace("</p>", "\n").replace("</li>", "\n")
    return unescape(re.sub("<[^>]+>", "", lines))


def read_sparks(page: AppTest) -> list[list[int]]:
    """The heights of each row of small bars, in percent of its highest."""
    rows = re.findall(r'<div class="spark [^>]*>(.*?)</div>', read_bodies(page), re.DOTALL)
    return [[int(height) for height in re.findall(r"height:(\d+)%", row)] for row in rows]


def usd(amount: Decimal) -> str:
    return f"${cents(amount):,.2f}"
