"""Half a year by the real code; every figure of every page, route, digest and file against the
auditor's own books (tests/auditor.py), and every claim against what really happened.
"""

from __future__ import annotations

import ast
import asyncio
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import streamlit as st
from pydantic import SecretStr
from sqlalchemy import delete, select
from streamlit.testing.v1 import AppTest

from dashboard.data.payments import export
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.views.payments.filters import read_query
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.company_settings.recovery import RecoverySettings, save_recovery_settings
from db.models import Message, Notice, Payment
from db.session import SessionFactory
from recovery.labels import REASONS
from recovery.wording import name_brand
from sandbox.servers.sendgrid import SendGrid
from tests.auditor import (
    OUR_CHARGES,
    OURS,
    Books,
    Story,
    cents,
    count_groups,
    find_false_claims,
    read_stories,
    sum_given_back,
    tenth,
)
from tests.factories import COMPANY
from tests.half_year import END, HalfYear
from tests.mail_service import make_settings
from tests.pages import fresh as fresh
from webhook.app import create_app

ZONES = (
    "Asia/Kathmandu",
    "UTC",
    "America/Los_Angeles",
    "Pacific/Kiritimati",
    "America/St_Johns",
)
APP = Path(__file__).resolve().parent.parent / "dashboard" / "navigation.py"
WAYS = {
    "retry": "by our retry",
    "click": "clicked our link, then paid",
    "member": "paid after our message",
    "without_us": "would have come anyway",
}
MESSAGES_PAGE = """
from dashboard.settings import DashboardSettings
from dashboard.views.messages import page
from db.settings import load_settings

page.show(load_settings(DashboardSettings))
"""
FORBIDDEN = ("db.reporting", "recovery.attribution", "recovery.lift", "dashboard")


def test_the_auditor_knows_nothing_of_what_is_audited() -> None:
    for module in ("auditor", "half_year"):
        tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text())
        names = [
            name
            for node in ast.walk(tree)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [one.name for one in node.names]
                if isinstance(node, ast.Import)
                else []
            )
        ]
        assert names
        assert [name for name in names if name.startswith(FORBIDDEN)] == []


# --- the half-year -------------------------------------------------------------------------------


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
    """Who is said to have brought what is what the product says; the rest is the ledger's."""
    stories = read_stories(half.world, half.set_up_at)
    asked = select(Payment.payment_id, Payment.recovered_by, Payment.status)
    with half.sessions() as session:
        said = {payment_id: (by, status) for payment_id, by, status in session.execute(asked)}
    for one in stories:
        by, status = said.get(one.payment.id, (None, None))
        one.said, one.given_up = by and str(by), status == "permanent_fail"
    return Books(stories, zone, now)


class Fixed(datetime):
    """The clock of those who ask the machine."""

    at = END

    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return cls.at.astimezone(tz)


@pytest.fixture
def audited(
    sessions: SessionFactory, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Audited:
    zone = ZoneInfo(ZONES[0])
    half = HalfYear(sessions, tmp_path, 182, zone, faults=True)
    audited = Audited(half, database_url, monkeypatch)
    audited.use_zone(zone)
    half.note_month_end = note_month_end(audited.month_ends)
    half.live(per_day=1.0)
    return audited


class Audited:
    """The half-year, and the ways to look at it."""

    def __init__(self, half: HalfYear, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.half, self.url, self.patch = half, database_url, monkeypatch
        self.month_ends: dict[date, tuple[Decimal, Decimal]] = {}
        for name, value in (("DATABASE_URL", database_url), ("WHOP_COMPANY_ID", COMPANY)):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("db.session.datetime", Fixed)

    def use_zone(self, zone: ZoneInfo) -> None:
        st.cache_data.clear()
        with self.half.sessions.begin() as session:
            settings = RecoverySettings(time_zone=zone.key)
            save_recovery_settings(session, COMPANY, settings, "somebody", self.half.clock.now)

    def books(self, zone: ZoneInfo, now: datetime = END) -> Books:
        books = open_books(self.half, zone, now)
        books.month_ends = self.month_ends
        return books

    # --- what is looked at -----------------------------------------------------------------------

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

    def open_insights(self, **query: str) -> AppTest:
        return self.run(AppTest.from_function(insights_page, default_timeout=60), query)

    def open_messages(self, **query: str) -> AppTest:
        return self.run(AppTest.from_string(MESSAGES_PAGE, default_timeout=60), query)

    def run(self, page: AppTest, query: dict[str, str]) -> AppTest:
        for name, value in query.items():
            page.query_params[name] = value
        page.run()
        assert not page.exception
        return page


def insights_page() -> None:
    from dashboard.settings import DashboardSettings
    from dashboard.views.insights import page as insights
    from db.settings import load_settings

    insights.show(load_settings(DashboardSettings))


def read_plain(page: AppTest) -> str:
    texts = [block.proto.body for block in page.get("html")]
    return re.sub("<[^>]+>", "", "\n".join(texts).replace("</p>", "\n").replace("</li>", "\n"))


def usd(amount: Decimal) -> str:
    return f"${cents(amount):,.2f}"


# --- the audit -----------------------------------------------------------------------------------


def test_every_figure_is_what_the_auditor_computes_and_no_claim_is_false(audited: Audited) -> None:
    first = audited.books(ZoneInfo(ZONES[0]))
    check_stage(first, audited)
    check_claims(first, audited)
    for name in ZONES:
        zone = ZoneInfo(name)
        audited.use_zone(zone)
        books = audited.books(zone)
        check_summary(books, audited.get("/stats/summary"))
        check_overview(books, audited)
        check_insights(books, audited)
        check_digest(audited, zone)
    check_list(first, audited)
    check_file(first, audited)
    check_messages(audited, ZoneInfo(ZONES[-1]))


def check_stage(books: Books, audited: Audited) -> None:
    """The half-year had all that it is to be audited for."""
    assert {one.payment.currency for one in books.counted} == {"usd", "eur", "gbp"}
    assert len(books.counted) > 100
    assert len(books.stories) - len(books.counted) > 0
    ways = Counter(one.way for one in books.recovered)
    assert set(ways) >= {"retry", "without_us"}
    assert ways["click"] + ways["member"] > 0
    assert sum_given_back(audited.half.world, books, audited.half.start) > 0
    assert audited.half.disputed > 20
    assert len(audited.month_ends) >= 5


def check_claims(books: Books, audited: Audited) -> None:
    assert find_false_claims(books.stories) == []
    assert [one for one in books.stories if one.said in OURS and not one.since_setup] == []
    claimed = [one for one in books.recovered if one.way in ("click", "member")]
    moved = audited.half.moved
    spontaneous = [one for one in claimed if one.paid_at not in moved.get(one.payment.id, [])]
    money = [sum((one.kept for one in some), Decimal(0)) for some in (spontaneous, claimed)]
    print(  # noqa: T201
        f"\nOf {len(claimed)} payments claimed after messages, {len(spontaneous)} were "
        f"spontaneous: {100 * money[0] / max(money[1], Decimal(1)):.0f} % of that money."
    )


def check_summary(books: Books, told: dict[str, Any]) -> None:
    all_paid = [one for one in books.stories if one.paid_at]
    ever, month = books.split(books.recovered), books.split(books.paid_on(books.this_month))
    rate, ours = books.rates()
    history = sum((one.kept for one in all_paid if not one.since_setup), Decimal(0))
    expected = {
        "total_failed": len(books.stories),
        "total_recovered": len(all_paid),
        "recovery_rate": tenth(100 * len(all_paid), len(books.stories)),
        "recovered_amount": sum(ever.values(), cents(history)),
        "recovered_by_retry_amount": ever["retry"],
        "recovered_by_member_amount": ever["click"] + ever["member"],
        "recovered_after_click_amount": ever["click"],
        "recovered_this_month": sum(month.values(), Decimal(0)),
        "recovered_by_retry_this_month": month["retry"],
        "recovered_by_member_this_month": month["click"] + month["member"],
        "recovered_after_click_this_month": month["click"],
        "at_risk_amount": cents(sum((one.failed for one in books.open), Decimal(0))),
        "unconverted": 0,
        "currency": "usd",
    }
    assert {name: told[name] for name in expected} == {
        name: float(value) if isinstance(value, Decimal) else value
        for name, value in expected.items()
    }
    closed = told["closed"]
    assert (closed["payments"], closed["rate"], closed["our_rate"]) == (
        len(books.closed),
        float(rate),
        float(ours),
    )
    assert closed["recovered"] == sum(one.paid_at is not None for one in books.closed)


def check_overview(books: Books, audited: Audited) -> None:
    page = audited.open_overview()
    month, (rate, ours) = books.split(books.paid_on(books.this_month)), books.rates()
    shown = {metric.label: metric.value for metric in page.metric}
    assert shown["$ Recovered This Month"] == usd(sum(month.values(), Decimal(0)))
    assert shown["Recovery Rate %"] == f"{rate}%"
    assert shown["Total Failed Payments"] == f"{len(books.counted):,}"
    words = read_plain(page)
    at_risk = sum((one.failed for one in books.open), Decimal(0))
    assert shown["At Risk Now"] == usd(at_risk)
    noun = "payment" if len(books.open) == 1 else "payments"
    assert f"{len(books.open)} {noun} still recoverable\n" in words
    for way, label in WAYS.items():
        assert f"{usd(month[way])} {label}\n" in words
    assert f"{ours}% ours, and {rate - ours}% that would have come anyway\n" in words
    kept = sum((one.kept for one in books.closed), Decimal(0))
    failed = sum((one.failed for one in books.closed), Decimal(0))
    paid = sum(one.paid_at is not None for one in books.closed)
    closed = f"{paid} of {len(books.closed)} payments: those whose five days are over."
    assert f"{usd(kept)} of {usd(failed)}, {closed}" in words
    assert f"{len(books.failed_on(books.within(30)))} in the last 30 days" in words
    earlier = len(books.stories) - len(books.counted)
    assert f"{earlier} more from before the set-up" in words
    first_of_month = datetime.combine(books.today.replace(day=1), time(), books.zone)
    given_back = cents(sum_given_back(audited.half.world, books, first_of_month))
    assert (f"{usd(given_back)} refunded or disputed this month" in words) == bool(given_back)
    for period, days in (("30 days", 30), ("90 days", 90), ("6 months", 182)):
        check_chart(books, audited.open_overview(period=period), days)
    last = (first_of_month.date() - timedelta(days=1)).replace(day=1)
    told, _ = books.month_ends[last]
    now = books.split(books.paid_on(lambda day: day.replace(day=1) == last))
    left = sum(now.values(), Decimal(0))
    said = f"{last:%B} ended with {usd(told)} recovered"
    assert (f"{said}." if left == told else f"{said}, as of today {usd(left)}.") in words


def check_chart(books: Books, page: AppTest, days: int) -> None:
    words = read_plain(page)
    failed = sum((one.failed for one in books.failed_on(books.within(days))), Decimal(0))
    assert f"Failed {usd(failed)}" in words
    split = books.split(books.paid_on(books.within(days)))
    for way, label in WAYS.items():
        name = f"Recovered {label}" if way == "retry" else f"{label[0].upper()}{label[1:]}"
        assert f"{name} {usd(split[way])}" in words


HOVER = re.compile(r"<b>([^<]*)</b><br>([\d,]+) of ([\d,]+) recovered")
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def check_insights(books: Books, audited: Audited) -> None:
    closed, zone = books.closed, books.zone
    page = audited.open_insights(span="all time", part="Time")
    recovered = [one for one in closed if one.paid_at]
    kept = sum((one.kept for one in closed), Decimal(0))
    failed = sum((one.failed for one in closed), Decimal(0))
    share = (200 * len(recovered) + len(closed)) // (2 * len(closed))
    assert (
        f"All time: {len(closed)} failed payments with a final result, {len(recovered)} ({share}%) "
        f"recovered, {usd(kept)} of {usd(failed)}."
    ) in read_plain(page)

    def local(one: Story) -> datetime:
        return one.failed_at.astimezone(zone)

    charts = read_groups(page)
    assert charts[1:] == [
        count_groups(closed, lambda one: f"{local(one):%b %Y}"),
        count_groups(closed, lambda one: DAY_NAMES[local(one).weekday()]),
        count_groups(closed, lambda one: f"{local(one).hour:02}:00"),
    ]
    check_curve(books, read_plain(page))
    page = audited.open_insights(span="all time", part="Products and cards")
    products, brands = read_groups(page)
    assert products == count_groups(closed, lambda one: one.product)
    with audited.half.sessions() as session:
        asked = session.execute(select(Payment.payment_id, Payment.card_brand))
        cards = {row.payment_id: row.card_brand for row in asked}
    known = count_groups(closed, lambda one: name_brand(cards[one.payment.id] or "unknown"))
    assert brands == known
    check_funnel(books, audited)
    page = audited.open_insights(span="all time", part="Reasons and tries")
    reasons, _ = read_groups(page)
    told = {one["payment_id"]: one["first_decline_class"] for one in audited.list_payments()}
    assert reasons == count_groups(closed, lambda one: REASONS[told[one.payment.id]])
    check_tries(books, read_plain(page))


def read_groups(page: AppTest) -> list[dict[str, tuple[int, int]]]:
    """Of each chart of groups: closed and recovered by name."""
    found = []
    for chart in page.get("plotly_chart"):
        hovers = HOVER.findall(chart.proto.spec.encode().decode("unicode_escape"))
        groups = {
            name: (int(closed.replace(",", "")), int(paid.replace(",", "")))
            for name, paid, closed in hovers
        }
        found.append({name: counts for name, counts in groups.items() if counts[0]})
    return found


def check_funnel(books: Books, audited: Audited) -> None:
    """Of payments whose five days are over; a chat tells of no opening."""
    told, closed = read_mail_events(audited), {one.payment.id: one for one in books.closed}
    with audited.half.sessions() as session:
        rows = session.scalars(select(Message).where(Message.state == "sent")).all()
    blocks: dict[tuple[str, str], list[int]] = {}
    for message in sorted(rows, key=lambda one: (one.step, one.channel)):
        if (about := closed.get(message.payment_id)) is None:
            continue
        block = blocks.setdefault((message.step, message.channel), [0] * 5)
        paid_at = about.paid_at if about.said in ("click", "member") else None
        events = told.get(message.id, {}) if message.channel == "email" else {}
        counted = [name in events for name in ("delivered", "open", "click")]
        for place, one in enumerate([True, *counted, is_followed(message, told, paid_at)]):
            block[place] += one
    page = audited.open_insights(span="all time", part="Messages")
    (chart,) = page.get("plotly_chart")
    assert [bars["x"] for bars in json.loads(chart.proto.spec)["data"]] == [
        block if channel == "email" else [block[0], block[-1]]
        for (_, channel), block in blocks.items()
    ]


def check_curve(books: Books, words: str) -> None:
    watched = [one for one in books.closed if not one.imported]
    paid = [one for one in watched if one.paid_at]
    day = [one for one in paid if one.paid_at and one.paid_at - one.failed_at < timedelta(days=1)]
    assert f"({len(day)} of {len(watched)}) were paid within a day, " in words
    assert f"({len(paid)} of {len(watched)}) in the end" in words


def check_tries(books: Books, words: str) -> None:
    watched = [one for one in books.closed if not one.imported]
    ours = sum(one.made_by in OUR_CHARGES for one in watched)
    assert f"Our retries recovered {ours} in total." in words


def check_digest(audited: Audited, zone: ZoneInfo) -> None:
    half, friday = audited.half, END.astimezone(zone)
    monday = friday.date() - timedelta(days=friday.weekday())
    half.clock.now = datetime.combine(monday, time(8, 30), zone)
    with half.sessions.begin() as session:
        session.execute(delete(Notice))
        chosen = NotificationSettings(digest=True, digest_to="creator@example.com")
        save_notification_settings(session, COMPANY, chosen, "somebody", half.clock.now)
    half.notifier.notify_due()
    half.clock.now = END
    mail = next(m for m in SendGrid(half.world).mails() if m.recipients == ["creator@example.com"])
    words = mail.sent["content"][0]["value"]
    books = audited.books(zone)
    week, before = (is_within(monday - timedelta(days=ago)) for ago in (7, 14))
    for way, label in WAYS.items():
        name = f"Recovered {label}" if way == "retry" else f"{label[0].upper()}{label[1:]}"
        last, earlier = (
            say_sum([one for one in books.paid_on(chosen) if one.way == way], "kept")
            for chosen in (week, before)
        )
        assert f"{name}: {last}; the week before: {earlier}\n" in words
    failed = [say_sum(books.failed_on(chosen), "failed") for chosen in (week, before)]
    assert f"Failed: {failed[0]}; the week before: {failed[1]}\n" in words
    assert f"At risk now: {say_sum(books.open, 'failed')}, unpaid" in words


def is_within(monday: date) -> Callable[[date], bool]:
    return lambda day: monday <= day < monday + timedelta(days=7)


def say_sum(stories: list[Story], what: str) -> str:
    amount = sum((getattr(one, what) for one in stories), Decimal(0))
    return f"{usd(amount)} ({len(stories)} payment{'' if len(stories) == 1 else 's'})"


def check_list(books: Books, audited: Audited) -> None:
    told = {one["payment_id"]: one for one in audited.list_payments()}
    assert set(told) == {one.payment.id for one in books.stories}
    taken = audited.half.world.ledger.list_taken()
    for one in books.stories:
        row, payment = told[one.payment.id], one.payment
        assert row["since_setup"] == one.since_setup
        assert (row["status"] == "recovered") == (one.paid_at is not None)
        assert (row["amount"], row["currency"]) == (float(payment.amount), payment.currency)
        assert row["refunded_amount"] == float(payment.refund_asked)
        if one.paid_at:
            assert row["disputed_amount"] == float(taken.get(payment.id, 0))
            assert datetime.fromisoformat(row["recovered_at"]) == one.paid_at.replace(
                microsecond=datetime.fromisoformat(row["recovered_at"]).microsecond
            )
        declined = [c for c in one.charges[1:] if c.by in OUR_CHARGES and c.outcome != "paid"]
        assert row["retry_count"] == len(declined), payment.id


def check_file(books: Books, audited: Audited) -> None:
    settings = DashboardSettings(database_url=SecretStr(audited.url))
    content = export(settings, COMPANY, read_query({}), list_rows).decode("utf-8-sig")
    rows = {row["Payment"]: row for row in csv.DictReader(io.StringIO(content))}
    assert set(rows) == {one.payment.id for one in books.stories}
    for one in books.stories:
        row = rows[one.payment.id]
        if one.paid_at:
            assert abs(Decimal(row["Left in US dollars"]) - one.kept) < Decimal("0.005")
            assert Decimal(row["Refunded"]) == one.payment.refund_asked
        assert Decimal(row["Amount"]) == one.payment.amount


def check_messages(audited: Audited, zone: ZoneInfo) -> None:
    """What became of each message: an email by the simulated SendGrid's own events."""
    books, told = audited.books(zone), read_mail_events(audited)
    with audited.half.sessions() as session:
        sent = session.scalars(select(Message).where(Message.state == "sent")).all()
    paid_at = {
        one.payment.id: one.paid_at for one in books.stories if one.said in ("click", "member")
    }
    for period, days in (("30 days", 30), ("90 days", 90)):
        within = books.within(days)
        for step in ("payment_failed", "reminder", "last_day"):
            theirs = [
                m
                for m in sent
                if m.step == step and m.sent_at and within(books.local_day(m.sent_at))
            ]
            mails = [told[m.id] for m in theirs if m.channel == "email"]
            followed = sum(is_followed(m, told, paid_at.get(m.payment_id)) for m in theirs)
            words = read_plain(audited.open_messages(step=step, within=period))
            assert f"Sent{len(theirs)}Accepted" in words
            for label, name in (
                ("Delivered", "delivered"),
                ("Opened", "open"),
                ("Clicked", "click"),
            ):
                number = sum(name in events for events in mails)
                assert say_share(label, number, len(mails)) in words
            assert say_share("Then paid", followed, len(theirs)) in words


def read_mail_events(audited: Audited) -> dict[int, dict[str, datetime]]:
    """By message: when each event first happened."""
    world, found = audited.half.world, {}
    for mail in SendGrid(world).mails():
        about = mail.custom_args
        if "message_id" not in about:
            continue
        events: dict[str, datetime] = {}
        for event in world.mail_events.of(mail.id, END):
            if not event.document.get("sg_machine_open"):
                events.setdefault(event.name, event.at)
        found[int(about["message_id"])] = events
    return found


def is_followed(
    message: Message, told: dict[int, dict[str, datetime]], paid_at: datetime | None
) -> bool:
    """Whether the payment came after it had arrived."""
    if paid_at is None or message.sent_at is None or message.step == "notice":
        return False
    if message.channel == "whop":
        return message.sent_at <= paid_at
    events = told[message.id]
    if events.keys() & {"bounce", "dropped", "blocked"}:
        return False
    arrived_at = next((events[n] for n in ("delivered", "open", "click") if n in events), None)
    return arrived_at is not None and arrived_at <= paid_at


def say_share(label: str, part: int, whole: int) -> str:
    if not whole:
        return f"{label}none yet"
    numbers = f"{part} of {whole}"
    if whole < 20:
        return f"{label}{numbers}"
    share = (200 * part + whole) // (2 * whole)
    return f"{label}{share}% ({numbers})"
