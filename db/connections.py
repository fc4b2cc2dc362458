"""Connections to Postgres whose sessions may be nobody's own.

A pooler in transaction mode, such as PgBouncer's, lends each transaction whichever session is free:
nothing that one transaction sets or prepares is there for the next. And a server may stop taking
writes, or give way to another one behind the same address, while its connections stay open.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg2
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import InvalidatePoolError

from db.sqlstates import FOREIGN_SESSION, SPOILT, Fault, find_fault

# In a connection's `info`: what is set for each of its transactions, because a pooler is between.
LENT = "set in each transaction"
UNUSED = "nothing was asked on it yet"
# On an error: the transaction was made read-only by ourselves.
READING = "reading"
LOOK = """
select pg_backend_pid(),
    pg_is_in_recovery() or current_setting('default_transaction_read_only')::bool
"""


class ReadOnlyServer(psycopg2.InternalError):
    """The server takes no writes, so that what it shows may be out of date as well."""

    pgcode = "25006"


def is_lent(connection: Connection) -> bool:
    """Whether its next transaction may meet another session of the server."""
    return LENT in connection.info


def change_settings(connection: Connection, settings: Mapping[str, str]) -> None:
    """For as long as this connection lives, outside of a transaction."""
    if is_lent(connection):
        connection.info[LENT] |= settings
        return
    for statement in write_settings("set", settings):
        connection.exec_driver_sql(statement)
    connection.commit()


class Sessions:
    """An engine's sessions, with what is set for each."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.settings = settings
        # Found out by the first connection, and kept: the same address leads through the same
        # pooler.
        self.lent = False

    def listen(self, engine: Engine, ask_first: bool) -> None:
        event.listen(engine, "connect", self.set_up)
        event.listen(engine, "begin", self.begin)
        event.listen(engine, "handle_error", self.judge)
        if ask_first:
            event.listen(engine, "checkout", ask)

    def set_up(self, connection: Any, record: Any) -> None:
        """Once for each connection. Poolers refuse settings at the start (`options`), so there are
        none there."""
        try:
            with autocommit(connection) as cursor:
                pid = look(cursor)
                # Whoever stands between gives its clients numbers of its own.
                self.lent |= pid != connection.get_backend_pid()
                if self.lent:
                    record.info[LENT] = dict(self.settings)
                else:
                    cursor.execute(";".join(write_settings("set", self.settings)))
        except psycopg2.Error:
            connection.close()
            raise
        record.info[UNUSED] = True

    def begin(self, connection: Connection) -> None:
        if is_lent(connection) and not connection.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]
            settings = write_settings("set local", connection.info[LENT])
            connection.exec_driver_sql(";".join(settings))

    def judge(self, context: ExceptionContext) -> None:
        """Throws away a connection that is of no more use, and learns that sessions are lent."""
        code = getattr(context.original_exception, "pgcode", None)
        if code is None:
            return
        self.lent |= code in FOREIGN_SESSION
        fault = find_fault(code)
        if fault is Fault.READ_ONLY and is_reading(context.connection):
            setattr(context.original_exception, READING, True)
        elif fault in SPOILT:
            context.is_disconnect = True


def ask(connection: Any, record: Any, _fairy: Any) -> None:
    """Before each use but the first. A new connection then takes the place of one that fails."""
    if record.info.pop(UNUSED, False):
        return
    # After it has read, SQLAlchemy would have psycopg2 begin `read write`, which overrules a server
    # that takes no writes.
    connection.set_session(readonly="default")
    try:
        with autocommit(connection) as cursor:
            look(cursor)
    except psycopg2.Error as error:
        raise InvalidatePoolError(str(error)) from error


def look(cursor: Any) -> int:
    """The number of the server's own process. Raises ReadOnlyServer."""
    cursor.execute(LOOK)
    pid, read_only = cursor.fetchone()
    if read_only:
        raise ReadOnlyServer("the server is a standby, or takes no writes")
    return int(pid)


def is_reading(connection: Connection | None) -> bool:
    return bool(connection and connection.get_execution_options().get("postgresql_readonly"))


@contextmanager
def autocommit(connection: Any) -> Iterator[Any]:
    """A cursor outside of any transaction."""
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        if not connection.closed:
            connection.autocommit = False


def write_settings(how: str, settings: Mapping[str, str]) -> list[str]:
    return [f"{how} {name} = '{value}'" for name, value in settings.items()]
