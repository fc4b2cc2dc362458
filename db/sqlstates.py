"""Whose fault an error of Postgres's is, by its SQLSTATE (Postgres's manual, appendix A).

Not by the driver's exception class: psycopg2 calls a read-only server an internal error, and a
statement that is too deep an operational one.
"""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What an error means for whoever asked."""

    # What was given cannot be stored, now or later.
    INPUT = "input"
    # Our statement is wrong.
    BUG = "bug"
    # The server cannot do it now. The connection is as good as before.
    AWAY = "away"
    # The connection is of no more use, and a new one may be: it was ended, or what its session had
    # is gone, because the server behind it is another one.
    STALE = "stale"
    # Another transaction came first. The same may be done at once.
    CONFLICT = "conflict"
    # The server takes no writes. A new connection may lead to the one that does.
    READ_ONLY = "read_only"
    # Our user may not do it.
    DENIED = "denied"
    # What the migrations make is not there.
    UNMIGRATED = "unmigrated"


# The same may be done at once, in a new transaction.
WORTH_REPEATING = frozenset({Fault.STALE, Fault.CONFLICT, Fault.READ_ONLY})
# The connection is thrown away, and its whole pool with it.
SPOILT = frozenset({Fault.STALE, Fault.READ_ONLY})
# What a session had prepared is gone, or another client's is there: a pooler's session.
FOREIGN_SESSION = frozenset({"26000", "42P05"})

# The class of input that is too long or too deep.
LIMIT_EXCEEDED = "54"

# By class, which is a code's first two characters.
CLASSES: dict[str, Fault] = {
    # Not errors, or errors of standard SQL that Postgres has no use for in our statements.
    **dict.fromkeys(("00", "01", "02", "03", "09", "0B", "0F", "0Z", "10", "20", "21"), Fault.BUG),
    # Cursors, savepoints and transactions used wrongly; functions, routines, dropping, foreign
    # tables: only our own code would do that.
    **dict.fromkeys(("24", "25", "27", "2B", "2D", "2F", "38", "39", "3B", "HV", "P0"), Fault.BUG),
    # Grammar, names and types.
    "42": Fault.BUG,
    # The connection, or the talk on it, has failed. PgBouncer calls all its own errors 08P01.
    "08": Fault.STALE,
    # "cached plan must not change result type": what was prepared is older than the table.
    "0A": Fault.STALE,
    # A prepared statement, or a cursor, that this session does not have.
    "26": Fault.STALE,
    "34": Fault.STALE,
    # A value that does not fit, a constraint, a limit of Postgres's on what it is given.
    "22": Fault.INPUT,
    "23": Fault.INPUT,
    "44": Fault.INPUT,
    LIMIT_EXCEEDED: Fault.INPUT,
    # Users, passwords, roles and grants.
    "0L": Fault.DENIED,
    "0P": Fault.DENIED,
    "28": Fault.DENIED,
    # No such database: it is being made, restored or renamed.
    "3D": Fault.AWAY,
    # No such schema.
    "3F": Fault.UNMIGRATED,
    # Serialization, deadlocks, and queries that a standby cancels for its recovery.
    "40": Fault.CONFLICT,
    # No memory, no disk, no connection slot.
    "53": Fault.AWAY,
    # An object in use, a lock that is not to be had.
    "55": Fault.AWAY,
    # An operator, or a timeout, ended the statement or the session.
    "57": Fault.STALE,
    # The operating system failed the server.
    "58": Fault.AWAY,
    # A snapshot too old.
    "72": Fault.CONFLICT,
    # The server's own files are wrong.
    "F0": Fault.AWAY,
    # The server's own errors, and corruption. An operator acts; no event is to blame.
    "XX": Fault.AWAY,
}

# Codes that mean something else than their class.
CODES: dict[str, Fault] = {
    # A sequence has no numbers left: an operator acts.
    "2200H": Fault.AWAY,
    # A standby, or a primary that was told to take no writes.
    "25006": Fault.READ_ONLY,
    # The server ended a session that was idle in its transaction, or was in it for too long.
    "25P03": Fault.STALE,
    "25P04": Fault.STALE,
    "42501": Fault.DENIED,
    "42703": Fault.UNMIGRATED,
    "42P01": Fault.UNMIGRATED,
    # A cursor or a prepared statement that another client left in this session.
    "42P03": Fault.STALE,
    "42P05": Fault.STALE,
    # Not during recovery: the server is a standby.
    "55000": Fault.STALE,
    # A setting that cannot be changed now, a new value of an enum: our statement is wrong.
    "55P02": Fault.BUG,
    "55P04": Fault.BUG,
    # A statement that took too long. Its session goes on.
    "57014": Fault.AWAY,
}


def find_fault(code: str) -> Fault:
    """A code that nobody knows is no event's fault: it may work later."""
    return CODES.get(code) or CLASSES.get(code[:2]) or Fault.AWAY
