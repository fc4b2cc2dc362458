"""Why an event was not stored, and whose fault that is."""

from __future__ import annotations

from typing import TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from db.ledger.payments import WrongCompanyError
from db.outages import DatabaseUnavailable, find_code, judge
from db.sqlstates import LIMIT_EXCEEDED, Fault
from whop.values import PayloadError

# A bug of ours, which the next version may not have.
UNSTORED = "it could not be stored"


class UnstorableError(Exception):
    """This event can never be recorded. Answered with 422, unless our own code is to blame and
    nothing of it is kept: then it should come again."""

    def __init__(self, words: str, fault: Fault = Fault.INPUT) -> None:
        super().__init__(words)
        self.fault = fault


# Why an event was not stored: the sender should deliver it again (503), or not (422).
StoreError: TypeAlias = DatabaseUnavailable | UnstorableError


def blame(error: Exception) -> Fault:
    return judge(error) if isinstance(error, SQLAlchemyError) else Fault.INPUT


def explain(error: Exception) -> str:
    """Our own errors say what is wrong. A library's may quote rows, so only its type is named."""
    if isinstance(error, (WrongCompanyError, PayloadError)):
        return str(error)
    if find_code(error).startswith(LIMIT_EXCEEDED):
        return "it is too long or too deeply nested to be stored"
    return f"it cannot be stored ({type(error).__name__})"
