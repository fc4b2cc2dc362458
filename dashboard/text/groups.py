"""The names of the groups of payments on the insights page. Pure."""

from __future__ import annotations

import re
from calendar import day_name
from datetime import datetime

from db.reporting.chance import Estimate
from db.reporting.cohorts import UNKNOWN, Dimension
from db.reporting.insights import StepCount
from recovery.declines import DeclineClass
from recovery.labels import MESSAGES, REASONS, name_message
from recovery.status import Channel, Step
from recovery.wording import UNKNOWN_PRODUCT, count, name_brand

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
# Of a message: payments of the two claims after a message.
THEN_PAID = "Then paid"
PLURALS: dict[Dimension, str] = {
    Dimension.CLASS: "reasons",
    Dimension.TRY: "tries",
    Dimension.HOUR: "hours",
    Dimension.WEEKDAY: "weekdays",
    Dimension.MONTH: "months",
    Dimension.PRODUCT: "products",
    Dimension.BRAND: "card brands",
    Dimension.STEP: "messages",
}


def name_group(dimension: Dimension, key: str) -> str:
    """For any key: it may have been typed into an address."""
    match dimension:
        case Dimension.CLASS if key in set(DeclineClass):
            return REASONS[DeclineClass(key)]
        case Dimension.STEP if key in set(Step):
            return MESSAGES[Step(key)]
        case Dimension.WEEKDAY if key in set("1234567"):
            return day_name[int(key) - 1]
        case Dimension.HOUR if re.fullmatch(r"1?\d|2[0-3]", key):
            return f"{int(key):02}:00"
        case Dimension.MONTH if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", key):
            return f"{datetime.strptime(key, '%Y-%m'):%b %Y}"  # noqa: DTZ007
        case Dimension.TRY if re.fullmatch(r"\d{1,3}", key):
            return count(int(key), "time")
        case Dimension.BRAND:
            return name_brand(key)
        case Dimension.PRODUCT if key == UNKNOWN:
            return UNKNOWN_PRODUCT
    return key


def name_payments(dimension: Dimension, key: str) -> str:
    """The payments of a group, within a sentence."""
    name = name_group(dimension, key)
    match dimension:
        case Dimension.HOUR:
            return f"failures from {name} to {int(key) + 1:02}:00"
        case Dimension.WEEKDAY:
            return f"failures on a {name}"
        case Dimension.MONTH:
            return f"failures in {name}"
    return f"“{name}”"


def format_range(likely: Estimate) -> str:
    """`41% to 52%`."""
    low, high = (round(100 * end) for end in (likely.low, likely.high))
    return f"{low}% to {high}%"


def name_step(one: StepCount) -> str:
    return name_message(Step(one.step), Channel(one.channel))
