"""What only the creator can help with. Pure; db/reporting/attention.py says the same in SQL."""

from __future__ import annotations

from enum import StrEnum

from recovery.declines import DeclineClass
from recovery.status import PaymentStatus


class Need(StrEnum):
    AMOUNT = "amount"
    """The price is set up in a way the bank does not take."""
    DUPLICATE = "duplicate"
    """The bank took it for a second charge of the same thing."""
    NO_ADDRESS = "no_address"
    """Only the member can pay it, and we know no way to tell them."""
    UNREACHED = "unreached"
    """Only the member can pay it, and no mail of ours arrived."""


# Charging again will not help: the member has to do something, and so has to know.
ONLY_THE_MEMBER = frozenset(
    {
        DeclineClass.AUTHENTICATION,
        DeclineClass.CARD,
        DeclineClass.FRAUD,
        DeclineClass.BANK_DEBIT,
    }
)


def find_need(
    status: PaymentStatus,
    decline_class: DeclineClass,
    *,
    held_out: bool,
    has_address: bool,
    unreached: bool,
) -> Need | None:
    """Why a payment waits for its creator; None: it does not.

    Only an unpaid payment without a planned retry can. A wrong amount and a suspected second charge
    always wait for the creator. Where only the member can pay, it is the creator's turn once we
    cannot tell the member: no address is known, or every mail bounced or was dropped. Members left
    to Whop alone are told nothing, so these two are not looked at for them.
    """
    if status is not PaymentStatus.FAILED:
        return None
    if decline_class is DeclineClass.AMOUNT:
        return Need.AMOUNT
    if decline_class is DeclineClass.DUPLICATE:
        return Need.DUPLICATE
    if decline_class not in ONLY_THE_MEMBER or held_out:
        return None
    if not has_address:
        return Need.NO_ADDRESS
    return Need.UNREACHED if unreached else None
