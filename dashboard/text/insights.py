"""What the insights say: names of groups, and under each chart its figures in words. Pure."""

from __future__ import annotations

import re
from calendar import day_name
from collections.abc import Sequence
from datetime import datetime

from dashboard.data.insights import Curve
from dashboard.text.payments import count, format_share, format_usd
from db.reporting.cohorts import UNKNOWN, Dimension
from db.reporting.insights import WINDOW_HOURS, Group, StepCount, Try
from recovery.declines import DeclineClass
from recovery.status import Channel, Step

FEW = 10
"""Below it a share is said as `3 of 7`: a percentage would promise what chance may undo."""

CLASSES: dict[DeclineClass, str] = {
    DeclineClass.FUNDS: "Not enough funds",
    DeclineClass.ISSUER: "Declined by the bank",
    DeclineClass.TECHNICAL: "Technical error",
    DeclineClass.AUTHENTICATION: "Bank confirmation needed",
    DeclineClass.CARD: "Card no longer valid",
    DeclineClass.FRAUD: "Lost, stolen or suspicious",
    DeclineClass.CONSENT: "Stopped by the member",
    DeclineClass.DUPLICATE: "Taken for a duplicate",
    DeclineClass.AMOUNT: "Wrong amount",
    DeclineClass.BANK_DEBIT: "Bank debit failed",
    DeclineClass.TEST: "Test card",
    DeclineClass.UNKNOWN: "No known reason",
}
STEPS: dict[Step, str] = {
    Step.PAYMENT_FAILED: "First message",
    Step.REMINDER: "Reminder",
    Step.LAST_DAY: "Last day",
    Step.NOTICE: "Notice",
}
CHANNELS: dict[Channel, str] = {Channel.EMAIL: "e-mail", Channel.WHOP: "Whop chat"}
BRANDS = {"amex": "American Express", "jcb": "JCB", "unionpay": "UnionPay", UNKNOWN: "Not told"}
NAMES: dict[Dimension, str] = {
    Dimension.CLASS: "Reason",
    Dimension.TRY: "Tried at least",
    Dimension.HOUR: "Failed at",
    Dimension.WEEKDAY: "Failed on",
    Dimension.MONTH: "Failed in",
    Dimension.PRODUCT: "Product",
    Dimension.BRAND: "Card",
    Dimension.STEP: "Sent",
}


def name_group(dimension: Dimension, key: str) -> str:
    """In words, whatever the key: it may have been typed into an address."""
    match dimension:
        case Dimension.CLASS if key in set(DeclineClass):
            return CLASSES[DeclineClass(key)]
        case Dimension.STEP if key in set(Step):
            return STEPS[Step(key)]
        case Dimension.WEEKDAY if key in set("1234567"):
            return day_name[int(key) - 1]
        case Dimension.HOUR if re.fullmatch(r"1?\d|2[0-3]", key):
            return f"{int(key):02}:00"
        case Dimension.MONTH if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", key):
            return f"{datetime.strptime(key, '%Y-%m'):%b %Y}"  # noqa: DTZ007
        case Dimension.TRY if re.fullmatch(r"\d{1,3}", key):
            return count(int(key), "time")
        case Dimension.BRAND:
            return BRANDS.get(key, key.title())
        case Dimension.PRODUCT if key == UNKNOWN:
            return "Not told"
    return key


def say_share(part: int, whole: int) -> str:
    """`61 of 98 (62.2%)`, or `3 of 7` where a percentage would say too much."""
    numbers = f"{part:,} of {whole:,}"
    return numbers if whole < FEW else f"{numbers} ({format_share(part / whole)})"


def say_part(part: int, whole: int) -> str:
    """The same where the whole has just been said."""
    return f"{part:,}" if whole < FEW else f"{part:,} ({format_share(part / whole)})"


def describe_whole(whole: Group, span: str) -> str:
    if not whole.closed + whole.open:
        return "No payment has failed here."
    when = "in all" if span == "All time" else f"in the last {span}"
    still = (
        f" {count(whole.open, 'other')} may still be paid, and {be(whole.open)} in no figure below."
        if whole.open
        else ""
    )
    unvalued = (
        f" {count(whole.unconverted, 'payment has', 'payments have')} no dollar value: counted, "
        "but in no sum."
        if whole.unconverted
        else ""
    )
    return (
        f"Of {count(whole.closed, 'failed payment')} {when} whose five days are over, "
        f"{say_part(whole.recovered, whole.closed)} came back, "
        f"{format_usd(whole.recovered_amount)} of {format_usd(whole.failed_amount)}.{still}"
        f"{unvalued}"
    )


def be(number: int) -> str:
    return "is" if number == 1 else "are"


def describe_best(groups: Sequence[Group], dimension: Dimension) -> str:
    """Which group came back most and least often, of those that are large enough to tell."""
    large = [group for group in groups if group.closed >= FEW]
    if not large:
        return f"Too few to compare yet: none has {FEW} payments whose five days are over."
    ranked = sorted(large, key=lambda group: group.recovered / group.closed)
    least, most = ranked[0], ranked[-1]
    if least is most:
        return (
            f"Only {introduce(dimension, most.key)} is large enough to tell: {say(most)} came back."
        )
    return (
        f"{capitalize(introduce(dimension, most.key))} came back most often: {say(most)}; "
        f"{introduce(dimension, least.key)} least: {say(least)}."
    )


def introduce(dimension: Dimension, key: str) -> str:
    name = name_group(dimension, key)
    match dimension:
        case Dimension.HOUR:
            return f"what failed from {name} to {int(key) + 1:02}:00"
        case Dimension.WEEKDAY:
            return f"what failed on a {name}"
        case Dimension.MONTH:
            return f"what failed in {name}"
    return f"“{name}”"


def capitalize(words: str) -> str:
    return words[:1].upper() + words[1:]


def say(group: Group) -> str:
    return say_share(group.recovered, group.closed)


def describe_tries(tries: Sequence[Try]) -> str:
    later = [one for one in tries if one.number > 1]
    if not later:
        return "No payment was tried a second time yet."
    first, second = tries[0], later[0]
    ours = sum(one.paid_by_us for one in later)
    paid = second.paid_by_us + second.paid_otherwise
    return (
        f"Of {count(first.made, 'failure')} {second.made:,} were tried again, and try "
        f"{second.number} was paid in {say_share(paid, second.made)}. Our charges paid {ours:,} "
        "in all."
    )


def describe_curve(curve: Curve) -> str:
    recovered = sum(add_up(hour) for hour in curve.hours)
    if not recovered:
        return "Nothing has come back yet of the payments whose five days are over."
    day = sum(add_up(hour) for hour in curve.hours if hour.hour < 24)
    late = sum(add_up(hour) for hour in curve.hours if hour.hour >= WINDOW_HOURS)
    after = f", {late:,} of them after the five days" if late else ""
    return (
        f"{say_share(day, curve.watched)} were paid within a day of their failure, "
        f"{say_share(recovered, curve.watched)} in the end{after}. Half of what came back was "
        f"there after {find_median(curve)}."
    )


def add_up(hour: object) -> int:
    return sum(getattr(hour, by) for by in ("by_retry", "by_member", "without_us"))


def find_median(curve: Curve) -> str:
    half, seen = sum(add_up(hour) for hour in curve.hours) / 2, 0
    for hour in curve.hours:
        seen += add_up(hour)
        if seen >= half:
            if hour.hour >= WINDOW_HOURS:
                return "more than five days"
            return count(hour.hour + 1, "hour")
    return "no time"


def describe_steps(steps: Sequence[StepCount]) -> str:
    if not steps:
        return "No message about these payments has been sent."
    first = max(steps, key=lambda one: one.sent)
    opened = (
        f" Of its mails {say_share(first.opened, first.sent)} were seen open"
        f" and {say_share(first.clicked, first.sent)} clicked."
        if first.channel == Channel.EMAIL
        else ""
    )
    return (
        f"{name_step(first)} went out most: {say_share(first.paid, first.sent)} of its payments "
        f"were paid after it.{opened}"
    )


def name_step(one: StepCount) -> str:
    return f"{STEPS[Step(one.step)]} by {CHANNELS[Channel(one.channel)]}"
