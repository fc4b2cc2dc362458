"""Half a year by the real code; every figure of every page, route, digest and file against the
auditor's own books (tests/auditor.py), and every claim against what really happened.
"""

from __future__ import annotations

import ast
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

import pytest
from pydantic import SecretStr
from sqlalchemy import select
from streamlit.testing.v1 import AppTest

from dashboard.data.payments import export
from dashboard.settings import DashboardSettings
from dashboard.text.payment_csv import list_rows
from dashboard.views.payments.filters import read_query
from db.models import Attempt, Message, Payment
from db.session import SessionFactory
from recovery.labels import REASONS
from recovery.wording import format_money, format_span, name_brand
from sandbox.model.records import PAID
from sandbox.servers.sendgrid import SendGrid
from sandbox.state.store import DISPUTE
from tests import auditor_comparisons as comparisons
from tests.audited import Audited, read_plain, read_sparks, usd
from tests.auditor import (
    OUR_CHARGES,
    OURS,
    Books,
    Story,
    cents,
    count_groups,
    count_tries,
    find_false_claims,
    list_known,
    sum_given_back,
    tenth,
)
from tests.auditor_comparisons import Arm
from tests.factories import COMPANY
from tests.half_year import END, HalfYear
from tests.pages import fresh as fresh

ZONES = (
    "Asia/Kathmandu",
    "UTC",
    "America/Los_Angeles",
    "Pacific/Kiritimati",
    "America/St_Johns",
)
WAYS = {
    "retry": "by our retry",
    "click": "clicked our link, then paid",
    "member": "paid after our message",
    "without_us": "would have come anyway",
}
NAMES = {"whop": "Whop's retry", "member": "Member's payment"}
IDS = "select id from payments"
FORBIDDEN = ("db.reporting", "recovery.attribution", "recovery.lift", "dashboard")


def test_the_auditor_knows_nothing_of_what_is_audited() -> None:
    for module in ("auditor", "auditor_comparisons", "half_year"):
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


@pytest.fixture
def audited(
    sessions: SessionFactory, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Audited:
    zone = ZoneInfo(ZONES[0])
    half = HalfYear(sessions, tmp_path, 182, zone, faults=True)
    audited = Audited(half, database_url, monkeypatch)
    audited.use_zone(zone)
    half.live(per_day=1.0)
    return audited


# --- the audit -----------------------------------------------------------------------------------


def test_every_figure_is_what_the_auditor_computes_and_no_claim_is_false(audited: Audited) -> None:
    first = audited.books(ZoneInfo(ZONES[0]))
    check_stage(first, audited)
    check_claims(first, audited)
    check_health(audited)
    for number, name in enumerate(ZONES):
        zone = ZoneInfo(name)
        audited.use_zone(zone)
        books = audited.books(zone)
        check_summary(books, audited.get("/stats/summary"))
        check_overview(books, audited)
        check_trends(books, audited)
        check_insights(books, audited)
        check_digest(audited, zone)
        check_stories(books, audited, books.stories[number :: len(ZONES)])
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
    page = audited.open("insights", span="all time", part="Time")
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
    page = audited.open("insights", span="all time", part="Products and cards")
    products, brands = read_groups(page)
    assert products == count_groups(closed, lambda one: one.product)
    with audited.half.sessions() as session:
        asked = session.execute(select(Payment.payment_id, Payment.card_brand))
        cards = {row.payment_id: row.card_brand for row in asked}
    known = count_groups(closed, lambda one: name_brand(cards[one.payment.id] or "unknown"))
    assert brands == known
    check_funnel(books, audited)
    page = audited.open("insights", span="all time", part="Reasons and tries")
    reasons, _ = read_groups(page)
    check_tries(books, page, audited.half)
    told = {one["payment_id"]: one["first_decline_class"] for one in audited.list_payments()}
    assert reasons == count_groups(closed, lambda one: REASONS[told[one.payment.id]])
    check_impact(books, audited)


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
    page = audited.open("insights", span="all time", part="Messages")
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


def check_tries(books: Books, page: AppTest, half: HalfYear) -> None:
    watched = [one for one in books.closed if not one.imported]
    known = [list_known(one, half.lost, half.read_back_at) for one in watched]
    assert sum(map(len, known)) > 0.99 * sum(len(one.charges) for one in watched)
    tries = count_tries(known)
    (first, *_), (second, ours, others), *_ = tries
    sentence = (
        f"{second:,} of {first:,} failed payments were tried again. "
        f"Try 2 was paid in {say_of(ours + others, second)}. "
        f"Our retries recovered {sum(row[1] for row in tries)} in total."
    )
    assert sentence in read_plain(page)
    made, by_us, _, _, otherwise = (
        bars["y"] for bars in json.loads(page.get("plotly_chart")[1].proto.spec)["data"][:5]
    )
    assert list(zip(made, by_us, otherwise, strict=True)) == tries


def check_impact(books: Books, audited: Audited) -> None:
    """On its own page, and on the overview."""
    helped, alone = comparisons.part_members(books)
    assert min(len(helped.stories), len(alone.stories)) >= 30
    gain = say_points(comparisons.compare_shares(helped, alone))
    money = ""
    if len(alone.stories) >= 100:
        found = comparisons.compare_money(helped, alone)
        money = f", and {say_points(found, ' of the money')}"
    said = (
        f"With our help, {say_arm(helped)} of the members paid in the end; in the control group, "
        f"{say_arm(alone)}. Our impact: {gain}{money}."
    )
    before = [one for one in books.stories if one.imported and not one.since_setup]
    before = [one for one in before if one.window_ends_at <= audited.half.set_up_at]
    paid = [one for one in before if one.paid_at]
    baseline = (
        f"Before you installed this, {len(before)} payments worth "
        f"{usd(sum((one.failed for one in before), Decimal(0)))} failed. "
        f"{say_of(len(paid), len(before))} came back anyway, worth "
        f"{usd(sum((one.kept for one in paid), Decimal(0)))}."
    )
    assert helped.claimed < 30
    untold = "would have come anyway. How much, only a control group can tell."
    for page in (audited.open("insights", part="Our impact"), audited.open_overview()):
        words = read_plain(page)
        assert said in words
        assert baseline in words
        assert untold in words


def say_arm(arm: Arm) -> str:
    return say_of(arm.paid, len(arm.stories))


def say_of(part: int, whole: int) -> str:
    return f"{part} of {whole}" if whole < 20 else f"{share_of(part, whole)}% ({part} of {whole})"


def share_of(part: int, whole: int) -> int:
    return (200 * part + whole) // (2 * whole)


def say_points(found: tuple[float, float, float], what: str = "") -> str:
    estimate, low, high = (f"{100 * one:+.1f}" for one in found)
    return f"{estimate} points{what} (95% interval: {low} to {high})"


def check_trends(books: Books, audited: Audited) -> None:
    """What the cards compare with, and their small bars."""
    page = audited.open_overview()
    words, today = read_plain(page), books.today
    assert f", {comparisons.count_failures_before(books)} in the 30 before" in words
    last, before = comparisons.compare_rates(books)
    assert f"{last}% in the newest 30 of these days, {before}% before." in words
    so_far, then = comparisons.compare_months(books)
    month = today.replace(day=1) - timedelta(days=1)
    assert f"Before refunds {usd(so_far)}; by this time in {month:%B} it was {usd(then)}." in words
    ends = [one.window_ends_at - END for one in books.open]
    if ends:
        assert f"First deadline in {format_span(min(ends))}" in words
    days = [today - timedelta(days=ago) for ago in reversed(range(30))]
    paid = [sum(books.split(books.paid_on(day.__eq__)).values(), Decimal(0)) for day in days]
    rates = [tenth(100 * kept, failed) for failed, kept in comparisons.list_spans(books)]
    failed = [Decimal(len(books.failed_on(day.__eq__))) for day in days]
    left = Counter(min(max(end.days, 0), 4) for end in ends)
    at_risk = [Decimal(left[number]) for number in range(5)]
    assert read_sparks(page) == [draw_bars(one) for one in (paid, rates, failed, at_risk)]


def draw_bars(values: list[Decimal]) -> list[int]:
    top = max(values) or Decimal(1)
    return [int(f"{max(100 * value / top, 0):.0f}") for value in values]


def check_health(audited: Audited) -> None:
    """What it counts; the rest of it is states."""
    told, lately = read_mail_events(audited), END - timedelta(days=1)
    mails = SendGrid(audited.half.world).mails()
    ours = [one for one in mails if "message_id" in one.custom_args and one.at > lately]
    bad = [told[int(one.custom_args["message_id"])].keys() for one in ours]
    against = sum(bool(names & {"bounce", "dropped", "blocked", "spamreport"}) for names in bad)
    words = read_plain(audited.open("health"))
    noun, be = ("email" if len(ours) == 1 else "emails"), ("was" if against == 1 else "were")
    assert ours
    assert f"In the last 24 hours: {len(ours)} {noun} accepted, 0 refused, 0 unanswered," in words
    assert f"Of {len(ours)} {noun} in the last 24 hours, {against} bounced, {be} dropped" in words
    with audited.half.sessions() as session:
        attempts = session.scalars(select(Attempt)).all()
    waiting = [one for one in attempts if one.outcome in ("open", "unknown", "pending")]
    assert ("Every charge has a confirmed result." in words) == (not waiting)
    assert "Every event was processed." in words


def check_digest(audited: Audited, zone: ZoneInfo) -> None:
    words, friday = audited.read_digest(zone), END.astimezone(zone)
    monday = friday.date() - timedelta(days=friday.weekday())
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


def check_stories(books: Books, audited: Audited, stories: list[Story]) -> None:
    """Each payment's page, in the time zone chosen: sums, who brought it, and what happened."""
    taken, rulings = audited.half.world.ledger.list_taken(), list_rulings(audited.half)
    for one in stories:
        page = audited.open("payments", payment=one.payment.id)
        words, payment = read_plain(page), one.payment
        assert format_money(payment.amount, payment.currency) in words
        assert f"Deadline{say_when(one.window_ends_at, books)}" in words
        assert words.count("The charge failed") == 1
        check_timeline(one, words, books, audited.half)
        assert words.count("The member disputes this payment") == len(rulings[payment.id])
        alerted = payment.dispute_alerted_at is not None and not rulings[payment.id]
        assert words.count("The member's bank announces a dispute of this payment") == alerted
        refunded = f"Refunded since: {format_money(payment.refund_asked, payment.currency)}."
        assert (refunded in words) == (one.paid_at is not None and payment.refund_asked > 0)
        if one.paid_at is None:
            assert "Paid on" not in words
            continue
        way = WAYS[one.way].removesuffix("message")
        assert re.search(f"Paid on {say_when(one.paid_at, books)}: (recovered )?{way}", words)
        lost = rulings[payment.id] in (["lost"], ["prevented"])
        sum_taken = format_money(taken.get(payment.id, Decimal(0)), payment.currency)
        beginning = "Lost in a dispute" if lost else "In a dispute"
        assert (f"{beginning}: {sum_taken}" in words) == (payment.id in taken)


def list_rulings(half: HalfYear) -> dict[str, list[str]]:
    """How each dispute stands, inquiries left out, by payment."""
    found: dict[str, list[str]] = {one: [] for (one,) in half.world.store.rows(IDS)}
    for (document,) in half.world.store.rows("select document from disputes"):
        dispute = DISPUTE.validate_json(document)
        if not dispute.status.startswith("warning_"):
            found[dispute.payment_id].append(dispute.status)
    return found


def check_timeline(one: Story, words: str, books: Books, half: HalfYear) -> None:
    """Each charge since we were there, by whom, when, and how it ended."""
    charges = list_known(one, half.lost, half.read_back_at)[1:]
    for charge in [] if one.imported else charges:
        who = "Our retry" if charge.by in OUR_CHARGES else NAMES[charge.by]
        if charge.by == "member" and one.way == "without_us":
            # In doubt it was Whop.
            who = f"({who}|{NAMES['whop']})"
        end = "paid" if charge.outcome == PAID else "declined"
        assert re.search(f"{say_when(charge.at, books)}\\s+{who}: {end}", words)


def say_when(moment: datetime, books: Books) -> str:
    return f"{moment.astimezone(books.zone):%a %-d %b, %H:%M}"


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
            words = read_plain(audited.open("messages", step=step, within=period))
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
    return f"{label}{say_of(part, whole)}"
