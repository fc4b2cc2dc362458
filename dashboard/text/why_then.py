"""Why a retry is made at its moment, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from db.models import RetryDecision
from recovery.retrying.context import Why
from recovery.retrying.diary import read_why
from recovery.status import ChargeMethod

BEGINNINGS: dict[Why, str] = {
    Why.INTERVAL: "As soon as one charge may follow another",
    Why.PLAN: "By the plan for this kind of decline",
    Why.LAST_CHANCE: "The last good hour before the deadline",
}
MOVES: dict[Why, str] = {
    Why.PAUSE: "half a day away from the last charge",
    Why.PAYDAY: "to a payday",
    Why.WHOP: "away from Whop's own retry",
    Why.DAY: "out of the night",
    Why.EXPLORED: "to another hour that is as good, to learn which is better",
}
BACKUP = "By day, once the card on file was of no more use"


def explain_moment(decisions: Sequence[RetryDecision], at: datetime | None) -> str:
    """Why it is, or was, charged at this time. Empty: nobody wrote down why."""
    if at is None:
        return ""
    made = next((one for one in reversed(decisions) if one.retry_at == at), None)
    if made is None:
        return ""
    if made.charge_method is ChargeMethod.BACKUP_CARD:
        return f"Why then? {BACKUP}."
    why = read_why(made.why)
    if not why:
        return ""
    moves = [MOVES[one] for one in why if one in MOVES]
    listed = " and ".join(filter(None, [", ".join(moves[:-1]), *moves[-1:]]))
    moved = f", moved {listed}" if listed else ""
    return f"Why then? {BEGINNINGS[why[0]]}{moved}."
