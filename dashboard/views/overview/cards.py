"""The overview's cards: each figure with its definition, its split and its links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboard.data.overview import Snapshot
from dashboard.ui.html import fill, show_html, show_note
from dashboard.ui.links import address, render_link
from db.reporting.summary import Day, Summary, percent
from db.reporting.trends import AtRisk, Trend
from recovery.labels import name_way
from recovery.status import RecoveredBy
from recovery.wording import DAYS, Period, count, format_span, format_usd

SPARK_DAYS = DAYS[Period.MONTH]
THIS_MONTH = {"status": "recovered", "within": Period.THIS_MONTH.value}


def show_cards(snapshot: Snapshot) -> None:
    summary, days = snapshot.summary, snapshot.days
    month, rate, failed, risk = (
        column.container(border=True, height="stretch", gap="small")
        for column in st.columns(4, gap="small")
    )
    with month:
        show_month(summary, days, snapshot.as_of.astimezone(ZoneInfo(snapshot.time_zone)))
        show_spark([sum_recovered(day) for day in days[-SPARK_DAYS:]], "recovered")
    with rate:
        show_rate(summary, snapshot.trend)
    with failed:
        show_failed(summary, days)
        show_spark([Decimal(day.failures) for day in days[-SPARK_DAYS:]], "failed")
    with risk:
        show_at_risk(summary, snapshot.at_risk, snapshot.as_of)


def sum_recovered(day: Day) -> Decimal:
    return day.recovered_by_retry + day.recovered_by_member + day.recovered_without_us


def show_month(summary: Summary, days: Sequence[Day], local: datetime) -> None:
    so_far, before = compare_months(days)
    st.metric(
        "$ Recovered This Month",
        format_usd(summary.recovered_this_month),
        delta=describe_change(so_far, before) if before else None,
        delta_color="normal" if so_far != before else "off",
        delta_description="vs the same days last month" if before else None,
        help=(
            "Failed payments that were paid this month, minus refunds and disputes, in US dollars. "
            "Every "
            "recovery counts. The split is below: recovered by our retry, paid after our "
            "messages, and what would have come anyway, through Whop or the member alone."
        ),
    )
    retry, member = summary.recovered_by_retry_this_month, summary.recovered_by_member_this_month
    rest = summary.recovered_this_month - retry - member
    show_lines(
        *(
            Markup("{} {}").format(link_usd(amount, THIS_MONTH | {"by": by.value}), name_way(by))
            for by, amount in zip(RecoveredBy, (retry, member, rest), strict=True)
        ),
    )
    show_note(f"{local:%B} so far. The bars show the last {SPARK_DAYS} days.")


def compare_months(days: Sequence[Day]) -> tuple[Decimal, Decimal]:
    """Recovered so far this month, and in the same days of the month before."""
    today = days[-1].day
    this = today.replace(day=1)
    last = this.replace(year=this.year - (this.month == 1), month=this.month - 1 or 12)
    so_far = sum((sum_recovered(day) for day in days if day.day >= this), Decimal(0))
    before = sum(
        (sum_recovered(day) for day in days if last <= day.day < this and day.day.day <= today.day),
        Decimal(0),
    )
    return so_far, before


def show_rate(summary: Summary, trend: Trend) -> None:
    change = describe_trend(trend)
    st.metric(
        "Recovery Rate %",
        f"{summary.recovery_rate}%",
        delta=change,
        delta_description="points vs the 30 days before" if change else None,
        help=(
            "The share of all failed payments that were recovered, all time, whoever recovered "
            "them. It can still rise while payments are unpaid. The trend compares payments with a "
            "final result."
        ),
    )
    retry, member = summary.recovered_by_retry_amount, summary.recovered_by_member_amount
    paid = {"status": "recovered"}
    show_lines(
        Markup("{} of {} payments recovered").format(
            link_count(summary.total_recovered, paid), link_count(summary.total_failed, {})
        ),
        Markup("{} in total: {} {}, {} {}").format(
            link_usd(summary.recovered_amount, paid),
            link_usd(retry, paid | {"by": "retry"}),
            name_way(RecoveredBy.RETRY),
            link_usd(member, paid | {"by": "member"}),
            name_way(RecoveredBy.MEMBER),
        ),
    )
    show_note("All time. The bars show the last 60 days, six days each.")
    show_spark([percent(recovered, failed) for failed, recovered in trend.spans], "recovered")


def describe_trend(trend: Trend) -> str | None:
    (failed, recovered), (failed_before, recovered_before) = trend.last, trend.before
    if not (failed and failed_before):
        return None
    return f"{percent(recovered, failed) - percent(recovered_before, failed_before):+.1f}"


def show_failed(summary: Summary, days: Sequence[Day]) -> None:
    last = sum(day.failures for day in days[-SPARK_DAYS:])
    before = sum(day.failures for day in days[-2 * SPARK_DAYS : -SPARK_DAYS])
    st.metric(
        "Total Failed Payments",
        f"{summary.total_failed:,}",
        delta=describe_change(last, before),
        delta_color="inverse" if last != before else "off",
        delta_description="vs the 30 days before",
        help=(
            "Payments that failed at least once, all time. Each payment counts once, however often "
            "it was tried. The trend compares the last 30 days with the 30 days before."
        ),
    )
    show_lines(
        Markup("{} in the last 30 days, <b>{:,}</b> in the 30 before").format(
            link_count(last, {"within": Period.MONTH.value}), before
        )
    )
    show_note(f"Failures per day, last {SPARK_DAYS} days.")


def describe_change(last: int | Decimal, before: int | Decimal) -> str:
    """In percent, unless there was nothing before. Streamlit draws the arrow by the sign."""
    if not before:
        return f"{last:,}"
    return f"{round(100 * (last - before) / before):,}%"


def show_at_risk(summary: Summary, at_risk: AtRisk, now: datetime) -> None:
    st.metric(
        "At Risk Now",
        format_usd(summary.at_risk_amount),
        help=(
            "Unpaid payments that can still be recovered: a retry is scheduled, or we wait for the "
            "member or Whop. The deadline is five days after the failure; a late payment still "
            "counts."
        ),
    )
    unpaid = link_count(at_risk.payments, {"status": "unpaid"})
    noun = "payment" if at_risk.payments == 1 else "payments"
    lines = [Markup("{} {} still recoverable").format(unpaid, noun)]
    if at_risk.nearest_end is not None:
        left = format_span(at_risk.nearest_end - now)
        lines.append(Markup("First deadline in <b>{}</b>").format(left))
    if summary.unconverted:
        uncounted = count(summary.unconverted, "payment has", "payments have")
        lines.append(Markup("{} no dollar value yet, so not in the amounts.").format(uncounted))
    show_lines(*lines)
    show_note("Days left to pay.")
    show_spark([Decimal(number) for number in at_risk.by_days_left], "waiting")


def link_usd(amount: Decimal, query: dict[str, str]) -> Markup:
    return link_figure(format_usd(amount), query)


def link_count(number: int, query: dict[str, str]) -> Markup:
    return link_figure(f"{number:,}", query)


def link_figure(figure: str, query: dict[str, str]) -> Markup:
    bold = Markup("<b>{}</b>").format(figure)
    return render_link(bold, address("payments", query), "figure")


def show_lines(*lines: Markup) -> None:
    listed = Markup("</p><p>").join(lines)
    show_html(Markup('<div class="lines"><p>{}</p></div>').format(listed))


def show_spark(values: Sequence[Decimal], tone: str) -> None:
    """Plain boxes: Streamlit's own sparkline visibly redraws at each refresh."""
    top = max(values, default=Decimal(0)) or Decimal(1)
    heights = [f"{max(100 * value / top, 0):.0f}" for value in values]
    show_html(fill("views/overview/spark.html", heights=heights, tone=tone))
