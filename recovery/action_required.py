"""What needs the creator. db/reporting/attention.py builds its SQL from this data."""

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
