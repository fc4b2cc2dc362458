"""What comes next and who does it, and what needs the creator.

db/reporting/attention.py builds its SQL from this data, recovery/next_step.py its answer.
"""

from __future__ import annotations

from enum import StrEnum

from recovery.declines import DeclineClass


class Need(StrEnum):
    # The bank does not accept the price as it is set up.
    AMOUNT = "amount"
    # The bank took it for a second charge of the same purchase.
    DUPLICATE = "duplicate"
    # Only the member can pay it, and we have no way to write to them.
    NO_ADDRESS = "no_address"
    # Only the member can pay it, and none of our messages arrived.
    UNREACHED = "unreached"


# Set up wrongly by the creator while money waits: these need them whoever the member is.
ALWAYS_NEEDED: dict[DeclineClass, Need] = {
    DeclineClass.AMOUNT: Need.AMOUNT,
    DeclineClass.DUPLICATE: Need.DUPLICATE,
}
# Charging again does not help: the member has to act, so they have to be told. Soft declines (funds
# and the like) are not here, since their money may still come without the member acting.
ONLY_THE_MEMBER = frozenset(
    {
        DeclineClass.AUTHENTICATION,
        DeclineClass.CARD,
        DeclineClass.FRAUD,
        DeclineClass.BANK_DEBIT,
    }
)


# What the creator can do; what is the matter is in labels.NEEDS. Neither has a full stop.
REMEDIES: dict[Need, str] = {
    Need.AMOUNT: "Correct the plan's price on Whop",
    Need.DUPLICATE: "Check the member's payments on Whop",
    Need.NO_ADDRESS: "Write to the member on Whop",
    Need.UNREACHED: "Write to the member on Whop",
}


# --- what comes next ---------------------------------------------------------------------------


class NextStepKind(StrEnum):
    RECOVERED = "recovered"
    NOT_RECOVERED = "not_recovered"
    # The creator asked to stop; the daemon does it within a minute.
    STOPPING = "stopping"
    # We are talking to Whop about a charge.
    CHARGING = "charging"
    # We charged, and nobody has told us yet how it ended.
    CONFIRMING = "confirming"
    # The creator asked for a charge; the daemon makes it within a minute.
    CHARGE_REQUESTED = "charge_requested"
    # The deadline has passed; the next cycle closes it.
    CLOSING = "closing"
    # Nobody charges or writes for now, by what happened on Whop.
    ON_HOLD = "on_hold"
    RETRY = "retry"
    NEEDS_YOU = "needs_you"
    WHOP = "whop"
    MEMBER = "member"


class Actor(StrEnum):
    """Who does the next thing."""

    US = "us"
    WHOP = "whop"
    MEMBER = "member"
    CREATOR = "creator"
    NOBODY = "nobody"


class LeadAction(StrEnum):
    """What helps most of all that the creator can do now."""

    RETRY = "retry"
    WRITE = "write"
    OPEN_ON_WHOP = "open_on_whop"


ACTORS: dict[NextStepKind, Actor] = {
    NextStepKind.RECOVERED: Actor.NOBODY,
    NextStepKind.NOT_RECOVERED: Actor.NOBODY,
    NextStepKind.STOPPING: Actor.US,
    NextStepKind.CHARGING: Actor.US,
    NextStepKind.CONFIRMING: Actor.US,
    NextStepKind.CHARGE_REQUESTED: Actor.US,
    NextStepKind.CLOSING: Actor.US,
    NextStepKind.ON_HOLD: Actor.NOBODY,
    NextStepKind.RETRY: Actor.US,
    NextStepKind.NEEDS_YOU: Actor.CREATOR,
    NextStepKind.WHOP: Actor.WHOP,
    NextStepKind.MEMBER: Actor.MEMBER,
}
