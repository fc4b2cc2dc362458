"""What only the creator can help with. db/reporting/attention.py asks the database by this data."""

from __future__ import annotations

from enum import StrEnum

from recovery.declines import DeclineClass


class Need(StrEnum):
    # The price is set up in a way the bank does not take.
    AMOUNT = "amount"
    # The bank took it for a second charge of the same thing.
    DUPLICATE = "duplicate"
    # Only the member can pay it, and we know no way to tell them.
    NO_ADDRESS = "no_address"
    # Only the member can pay it, and no message of ours arrived.
    UNREACHED = "unreached"


# The creator's own set-up, with money waiting: it needs them whoever the member is.
ALWAYS_NEEDED: dict[DeclineClass, Need] = {
    DeclineClass.AMOUNT: Need.AMOUNT,
    DeclineClass.DUPLICATE: Need.DUPLICATE,
}
# Charging again will not help: the member has to do something, and so has to know. A soft decline
# (funds and the like) is not among them, since its money may still come by itself.
ONLY_THE_MEMBER = frozenset(
    {
        DeclineClass.AUTHENTICATION,
        DeclineClass.CARD,
        DeclineClass.FRAUD,
        DeclineClass.BANK_DEBIT,
    }
)


REMEDIES: dict[Need, str] = {
    Need.AMOUNT: "Correct the plan's price on Whop",
    Need.DUPLICATE: "Check the member's payments on Whop",
    Need.NO_ADDRESS: "Write to the member on Whop",
    Need.UNREACHED: "Write to the member on Whop",
}
"""What the creator can do; what is the matter is in labels.NEEDS. Neither has a full stop."""
