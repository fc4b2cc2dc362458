"""The overview's cards: each figure with its definition, its split and its links."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import streamlit as st
from markupsafe import Markup

from dashboard.data.overview import Snapshot
from dashboard.text.overview import (
    CHANCE,
    describe_change,
    describe_closed,
    describe_month,
    describe_month_end,
    describe_rate,
)
from dashboard.ui.html import fill, show_html, show_note
from dashboard.ui.links import SINCE, address, render_link
from db.reporting.figures import Closed, Day, Summary, percent
from db.reporting.trends import AtRisk, Comparison, Trends
from recovery.labels import name_way
from recovery.status import RecoveredBy
from recovery.wording import DAYS, Period, count, format_span, format_usd

SPARK_DAYS = DAYS[Period.MONTH]
THIS_MONTH = SINCE | {"status": "recovered", "within": Period.THIS_MONTH.value}


def show_cards(snapshot: Snapshot) -> None:
    summary, days = snapshot.summary, snapshot.days
    month, rate, failed, risk = (
        column.container(border=True, height="stretch", gap="small")
        for column in st.columns(4, gap="small")
    )
    with month:
        show_month(snapshot)
        show_spark([day.recovered.total for day in days[-SPARK_DAYS:]], "recovered")
    with rate:
        show_rate(summary.closed, snapshot.trends)
    with failed:
        show_failed(summary, days, snapshot.trends.failures)
        show_spark([Decimal(day.failures) for day in days[-SPARK_DAYS:]], "failed")
    with risk:
        show_at_risk(summary, snapshot.at_risk, snapshot.as_of)


def show_figure(
    label: str, figure: str, words: str, change: str | None = None, *, inverse: bool = False
) -> None:
    """`change`: only where it is more than chance explains."""
    st.metric(
        label, figure, delta=change, delta_color="inverse" if inverse else "normal", help=words
    )


def show_month(snapshot: Snapshot) -> None:
    paid, month = snapshot.summary.this_month, snapshot.trends.month
    show_figure(
        "$ Recovered This Month",
        format_usd(paid.total),
        "Money that came back this month, as of today: minus refunds and disputes, in US dollars. "
        "Every recovery since the set-up counts, whoever brought it: the split is below. A part of "
        "what our retries and messages brought would have come anyway.",
        describe_change(month) if month and month.differs else None,
    )
    show_lines(
        *(
            Markup("{} {}").format(link_usd(amount, THIS_MONTH | {"by": by.value}), name_way(by))
            for by, amount in zip(RecoveredBy, paid.parts, strict=True)
        ),
        *describe_given_back(snapshot.given_back),
    )
    today = snapshot.days[-1].day
    words = [f"{today:%B} so far, as of today."]
    if month is not None:
        words.append(describe_month(month, today.replace(day=1) - timedelta(days=1)))
    if snapshot.month_end is not None:
        words.append(describe_month_end(snapshot.month_end, snapshot.days))
    show_note(" ".join([*words, f"The bars show the last {SPARK_DAYS} days."]))


def describe_given_back(amount: Decimal) -> list[Markup]:
    words = Markup("<b>{}</b> refunded or disputed this month").format(format_usd(amount))
    return [words] if amount else []


def show_rate(closed: Closed, trends: Trends) -> None:
    trend = trends.rate
    change = f"{trend.last - trend.before:+.1f} points" if trend and trend.differs else None
    show_figure(
        "Recovery Rate %",
        f"{closed.rate}%" if closed.payments else "—",
        "Of the money that failed since the set-up, what came back and stayed: by money, of "
        "payments whose five days are over, minus refunds and disputes. The rate in the API is "
        "another: by number, of all payments ever, also those of before the set-up and those still "
        "open.",
        change,
    )
    lines = [Markup("{}").format(describe_closed(closed))]
    if closed.payments:
        said = Markup("<b>{}%</b> ours, and <b>{}%</b> that would have come anyway")
        lines.insert(0, said.format(closed.our_rate, closed.rate - closed.our_rate))
    show_lines(*lines)
    words = "The bars show six days each, of the last 60 whose five days are over."
    show_note(f"{words} {describe_rate(trend)}" if trend else words)
    show_spark([percent(kept, failed) for failed, kept in trends.spans], "recovered")


def show_failed(summary: Summary, days: Sequence[Day], trend: Comparison | None) -> None:
    last = sum(day.failures for day in days[-SPARK_DAYS:])
    show_figure(
        "Total Failed Payments",
        f"{summary.failed:,}",
        "Payments that failed at least once since the set-up. Each counts once, however often it "
        "was tried. The number in the API also counts those of before the set-up.",
        describe_change(trend) if trend and trend.differs else None,
        inverse=True,
    )
    before = Markup(", <b>{:,}</b> in the 30 before").format(trend.before) if trend else ""
    lately = link_count(last, SINCE | {"within": Period.MONTH.value})
    lines = [Markup("{} in the last 30 days{}").format(lately, before)]
    if earlier := summary.history.failed:
        lines.append(
            Markup("{} more from before the set-up").format(
                link_count(earlier, {"setup": "before"})
            )
        )
    show_lines(*lines)
    chance = f" {CHANCE}" if trend and not trend.differs else ""
    show_note(f"Failures per day, last {SPARK_DAYS} days.{chance}")


def show_at_risk(summary: Summary, at_risk: AtRisk, now: datetime) -> None:
    show_figure(
        "At Risk Now",
        format_usd(summary.at_risk_amount),
        "Unpaid payments that can still be recovered: a retry is scheduled, or we wait for the "
        "member or Whop. The deadline is five days after the failure; a late payment still "
        "counts.",
    )
    unpaid = link_count(at_risk.payments, SINCE | {"status": "unpaid"})
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
