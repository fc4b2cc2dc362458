"""The large figures: what each says, what it means, and what stands under it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from html import escape
from zoneinfo import ZoneInfo

import streamlit as st

from dashboard.data.overview import Findings, Snapshot
from dashboard.words import count, describe_baseline, describe_lift, format_usd
from db.stats import Day, Summary

SPARK_DAYS = 30


def show_cards(snapshot: Snapshot) -> None:
    summary, recent = snapshot.summary, snapshot.days[-SPARK_DAYS:]
    month, rate, failed = (
        column.container(border=True, height="stretch", gap="small")
        for column in st.columns(3, gap="medium")
    )
    with month:
        show_month(summary, snapshot.as_of.astimezone(ZoneInfo(snapshot.time_zone)))
        show_spark([sum_recovered(day) for day in recent], "recovered")
    with rate:
        show_rate(summary)
    with failed:
        show_failed(summary)
        show_spark([Decimal(day.failures) for day in recent], "failed")


def sum_recovered(day: Day) -> Decimal:
    return day.recovered_by_retry + day.recovered_by_member + day.recovered_without_us


def show_month(summary: Summary, local: datetime) -> None:
    st.metric(
        "$ Recovered This Month",
        format_usd(summary.recovered_this_month),
        help=(
            "Failed payments that were paid since the first of this month, less refunds, in US "
            "dollars. It counts all of them, whoever brought the money; the split is below: what "
            "our own charges collected, what members paid after a message of ours, and what Whop "
            "or the member did without us."
        ),
    )
    retry, member = summary.recovered_by_retry_this_month, summary.recovered_by_member_this_month
    show_lines(
        f"<b>{format_usd(retry)}</b> by our retries",
        f"<b>{format_usd(member)}</b> by members, after our message",
        f"<b>{format_usd(summary.recovered_this_month - retry - member)}</b> without us",
    )
    show_note(f"{local:%B} so far. The bars are the last {SPARK_DAYS} days.")


def show_rate(summary: Summary) -> None:
    st.metric(
        "Recovery Rate %",
        f"{summary.recovery_rate}%",
        help=(
            "Recovered payments divided by all failed payments, all time, by number. Payments "
            "still being worked on count as not recovered yet, so the rate can rise later. It "
            "counts recoveries by whoever brought the money, not only ours."
        ),
    )
    show_lines(
        f"<b>{summary.total_recovered:,}</b> of <b>{summary.total_failed:,}</b> payments recovered",
        f"<b>{format_usd(summary.recovered_amount)}</b> in all: "
        f"<b>{format_usd(summary.recovered_by_retry_amount)}</b> by our retries, "
        f"<b>{format_usd(summary.recovered_by_member_amount)}</b> by members, after our message",
    )
    show_note("Recovered ÷ failed, all time.")
    st.html(
        '<div class="meter" aria-hidden="true">'
        f'<i><b style="width:{summary.recovery_rate}%"></b></i></div>'
    )


def show_failed(summary: Summary) -> None:
    last, before = summary.failed_last_30_days, summary.failed_previous_30_days
    st.metric(
        "Total Failed Payments",
        f"{summary.total_failed:,}",
        delta=describe_change(last, before),
        delta_color="inverse" if last != before else "off",
        delta_description="vs the 30 days before",
        help=(
            "Payments whose charge failed at least once, all time. A payment counts once, however "
            "often it was tried. The trend compares the last 30 days with the 30 before them."
        ),
    )
    show_lines(f"<b>{last:,}</b> in the last 30 days, <b>{before:,}</b> in the 30 before")
    show_note(f"Failures per day, last {SPARK_DAYS} days.")


def describe_change(last: int, before: int) -> str:
    """In percent where that means something; Streamlit draws the arrow by the sign."""
    if not before:
        return f"{last:,}"
    return f"{round(100 * (last - before) / before):,}%"


def show_at_risk(summary: Summary) -> None:
    unconverted = (
        f" {count(summary.unconverted, 'payment has', 'payments have')} no dollar value yet: "
        "counted, but in no sum."
        if summary.unconverted
        else ""
    )
    st.html(
        '<div class="risk"><span class="label">At risk now</span>'
        f'<span class="value">{format_usd(summary.at_risk_amount)}</span>'
        '<span class="note">unpaid, and not given up: a retry is planned, or we wait for the '
        f"member or Whop.{escape(unconverted)}</span></div>"
    )


def show_findings(findings: Findings) -> None:
    sentences = []
    if findings.lift is not None:
        sentences.append(describe_lift(findings.lift))
    if findings.baseline is not None:
        sentences.append(describe_baseline(findings.baseline))
    if sentences:
        st.html("".join(f'<p class="finding">{escape(words)}</p>' for words in sentences))


def show_lines(*lines: str) -> None:
    st.html('<div class="lines">' + "".join(f"<p>{line}</p>" for line in lines) + "</div>")


def show_note(words: str) -> None:
    st.html(f'<p class="note">{escape(words)}</p>')


def show_spark(values: Sequence[Decimal], tone: str) -> None:
    """Drawn with plain boxes: Streamlit's own sparkline is drawn anew, visibly, at each refresh."""
    top = max(values, default=Decimal(0)) or Decimal(1)
    bars = "".join(f'<i style="height:{max(100 * value / top, 0):.0f}%"></i>' for value in values)
    st.html(f'<div class="spark {tone}" aria-hidden="true">{bars}</div>')
