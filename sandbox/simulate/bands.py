"""Published recovery rates, to compare with what the simulated world produces.

They are bands, not points: they come from different populations, and no model fits them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recovery.decline_codes import classify
from recovery.declines import DeclineClass
from sandbox.model.records import PAID
from sandbox.simulate.trial import Case

SOFT = {
    DeclineClass.FUNDS,
    DeclineClass.ISSUER,
    DeclineClass.TECHNICAL,
    DeclineClass.UNKNOWN,
}
RETRIES = {"whop", "retry"}


@dataclass(frozen=True, slots=True)
class Band:
    """`measure` gets the same payments twice: with our messages and without."""

    name: str
    low: float
    high: float
    source: str
    definition: str
    measure: Callable[[Sequence[Case], Sequence[Case]], float]

    def verdict(self, value: float) -> str:
        if value < self.low:
            return "below"
        return "above" if value > self.high else "within"


def share(met: int, of: int) -> float:
    return met / of if of else 0.0


def recovered(cases: Sequence[Case]) -> int:
    return sum(case.paid_by is not None for case in cases)


def retried(cases: Sequence[Case]) -> int:
    return sum(case.paid_by in RETRIES for case in cases)


def first_retries(cases: Sequence[Case]) -> tuple[int, int]:
    """How many first retries were paid, and how many there were. Members' own payments are not
    retries."""
    soft = [case for case in cases if classify(case.first_code).decline_class in SOFT]
    firsts = [case.charges[1] for case in soft if len(case.charges) > 1]
    made = [charge for charge in firsts if charge.by in RETRIES]
    return sum(charge.outcome == PAID for charge in made), len(made)


BANDS = (
    Band(
        "total recovery",
        0.45,
        0.60,
        "Churn Buster, in 30 days and more",
        "failed renewals that are paid, by whomever",
        lambda with_messages, without_messages: share(recovered(with_messages), len(with_messages)),
    ),
    Band(
        "the retries' share",
        0.55,
        0.70,
        "Churn Buster",
        "of the recovered, those paid by a retry, Whop's or ours",
        lambda with_messages, without_messages: share(
            retried(with_messages), recovered(with_messages)
        ),
    ),
    Band(
        "silent recovery",
        0.15,
        0.28,
        "Churn Buster, by day 5",
        "failed renewals paid by a retry when we write to nobody",
        lambda with_messages, without_messages: share(
            retried(without_messages), len(without_messages)
        ),
    ),
    Band(
        "first retry",
        0.20,
        0.35,
        "Pagos",
        "of soft declines, first retries that are paid, when we write to nobody",
        lambda with_messages, without_messages: share(*first_retries(without_messages)),
    ),
    Band(
        "one message",
        0.03,
        0.13,
        "Baremetrics",
        "recoveries gained by writing, for each message sent",
        lambda with_messages, without_messages: share(
            recovered(with_messages) - recovered(without_messages),
            sum(case.messages for case in with_messages),
        ),
    ),
)
