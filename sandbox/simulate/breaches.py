"""Counts breaches of the card networks' limits from the ledger, with code of its own.

Every charge counts against its card, Whop's and ours alike. A charge beyond a limit is a breach of
the policy under trial only if it is ours.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta

from sandbox.model.records import Charge
from sandbox.simulate.trial import Case

# Brand: (charges, within). From Visa's older, stricter rule and Mastercard's excessive attempts.
LIMITS = {
    "visa": [(15, timedelta(days=30))],
    "mastercard": [(35, timedelta(days=30)), (10, timedelta(days=1))],
}
# Visa's category 1, "never reattempt", as Whop names these declines. Mastercard's advice codes 03
# and 21 mean the same, but Whop does not show them, so this list is used for all cards.
NEVER_AGAIN = frozenset(
    {
        "lost_card",
        "stolen_card",
        "invalid_account",
        "invalid_card_number",
        "closed_account",
        "issuer_not_found",
        "invalid_transaction",
        "transaction_not_permitted",
        "transaction_not_allowed",
        "transaction_stopped",
        "blocked_by_cardholder",
        "bank_authorization_revoked",
    }
)


def count_breaches(cases: Iterable[Case]) -> int:
    """Our charges beyond a network's limit, or on a card with a decline that forbids more."""
    on_card: defaultdict[tuple[str, str], list[Charge]] = defaultdict(list)
    for case in cases:
        charged = [charge for charge in case.charges if charge.by != "member"]
        # By the card's id: among many creators, two cards may look alike.
        on_card[case.card.brand, case.card.method_id] += charged
    return sum(
        charge.by == "retry"
        and (is_excessive(brand, charge, charges) or is_forbidden(charge, charges))
        for (brand, _), charges in on_card.items()
        for charge in charges
    )


def is_excessive(brand: str, charge: Charge, charges: Iterable[Charge]) -> bool:
    return any(
        sum(charge.at - within < other.at <= charge.at for other in charges) > most
        for most, within in LIMITS.get(brand, [])
    )


def is_forbidden(charge: Charge, charges: Iterable[Charge]) -> bool:
    return any(other.at < charge.at and other.outcome in NEVER_AGAIN for other in charges)
