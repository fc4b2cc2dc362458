"""A decision as it is written down: from the row alone it can be made again. Pure.

`db/ledger/diary.py` keeps the rows. Times are text in ISO 8601, lengths are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from recovery.declines import DeclineClass
from recovery.retrying.context import Retry, RetryContext, RetryRules, Why
from recovery.retrying.decisions import NoRetry
from recovery.retrying.policy import VERSIONS
from recovery.retrying.transitions import Question, Transition
from recovery.retrying.whop_habits import WhopHabits
from recovery.standing import Hold
from recovery.status import ChargeMethod, PaymentStatus

TIMES = ("failed_at", "last_charge_at", "window_ends_at", "whop_next_attempt_at")


@dataclass(frozen=True, slots=True)
class Entry:
    """`retry_at`, `charge_method`: None where nothing is charged. `why`: what moved the charge, or
    why there is none. `possible`: the moments that it was chosen among, with their probabilities.
    """

    policy: str
    version: int
    facts: dict[str, Any]
    retry_at: datetime | None
    charge_method: ChargeMethod | None
    why: str
    possible: tuple[tuple[datetime, float], ...]


def write_entry(question: Question, transition: Transition) -> Entry:
    charged = transition.status is PaymentStatus.PENDING_RETRY
    at = transition.next_retry_at if charged else None
    decision = transition.decision
    listed = decision.possible if isinstance(decision, Retry) else ()
    policy = question.rules.policy
    return Entry(
        policy,
        VERSIONS.get(policy, 0),
        write_facts(question),
        at,
        transition.charge_method if charged else None,
        tell_why(transition),
        listed or (((at, 1.0),) if at else ()),
    )


def tell_why(transition: Transition) -> str:
    """`plan day`, `backup_card`, `needs_member`, `window_closed`."""
    if transition.charge_method is ChargeMethod.BACKUP_CARD:
        return str(transition.charge_method)
    match transition.decision:
        case Retry(why=why):
            return " ".join(why)
        case NoRetry(reason):
            return reason.name.lower()
    return str(transition.closed_reason or "")


def read_why(why: str) -> tuple[Why, ...]:
    """What moved a charge. Empty: there is none, or it is of another card."""
    words = why.split()
    return tuple(Why(word) for word in words) if set(words) <= set(Why) else ()


def write_facts(question: Question) -> dict[str, Any]:
    facts = asdict(question.context)
    for name in TIMES:
        facts[name] = facts[name].isoformat() if facts[name] else None
    habits = question.context.whop_habits
    facts["whop_habits"] = {
        "gap": habits.gap.total_seconds() if habits.gap else None,
        "retries": habits.retries,
    }
    rules = {
        "policy": question.rules.policy,
        "interval": question.rules.interval.total_seconds(),
        "max_retries": question.rules.max_retries,
    }
    return facts | {"rules": rules, "now": question.now.isoformat(), "backup": question.backup}


def read_facts(facts: Mapping[str, Any]) -> Question:
    """Of this version or an older one, which knew of fewer facts."""
    told = dict(facts)
    rules, now, backup = told.pop("rules"), told.pop("now"), told.pop("backup")
    if (habits := told.pop("whop_habits", None)) is not None:
        gap = timedelta(seconds=habits["gap"]) if habits["gap"] else None
        told["whop_habits"] = WhopHabits(gap, habits["retries"])
    for name in TIMES:
        told[name] = datetime.fromisoformat(told[name]) if told[name] else None
    told["decline_class"] = DeclineClass(told["decline_class"])
    told["hold"] = Hold(told["hold"]) if told["hold"] else None
    interval = timedelta(seconds=rules["interval"])
    return Question(
        RetryContext(**told),
        RetryRules(rules["policy"], interval, rules["max_retries"]),
        datetime.fromisoformat(now),
        backup,
    )
