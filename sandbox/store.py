"""One sqlite file that outlives the process. Entities are JSON documents; look-ups have columns."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from pydantic import TypeAdapter

from sandbox.records import Due, Membership, Payment, Refund
from sandbox.times import sortable

SCHEMA = """
create table if not exists payments (
    id text primary key, account_id text, status text, billing_reason text, membership_id text,
    created_at text, paid_at text, document text not null) without rowid;
create index if not exists payments_by_account on payments (account_id, created_at, id);
create index if not exists payments_by_status on payments (status, created_at, id);
create index if not exists payments_by_membership on payments (membership_id, created_at, id);
create table if not exists memberships (
    id text primary key, account_id text, member_id text, status text,
    created_at text, document text not null) without rowid;
create index if not exists memberships_by_account on memberships (account_id, created_at, id);
create table if not exists refunds (
    id text primary key, account_id text, payment_id text,
    created_at text, document text not null) without rowid;
create index if not exists refunds_by_payment on refunds (payment_id, created_at, id);
create table if not exists due (
    kind text, subject text, at text, detail text, primary key (kind, subject)) without rowid;
create index if not exists due_by_time on due (at);
create table if not exists ledger (
    number integer primary key, payment_id text, at text, by text, outcome text,
    amount text, usd_amount text, currency text, idempotency_key text);
create index if not exists ledger_by_payment on ledger (payment_id);
create table if not exists idempotency (
    caller text, key text, fingerprint text, started_at text, status integer, headers text,
    body blob, primary key (caller, key)) without rowid;
create table if not exists letters (
    number integer primary key, webhook_id text, type text, body blob, due_at text,
    failures integer not null default 0);
create index if not exists letters_by_time on letters (due_at, number);
create table if not exists mails (
    number integer primary key, id text, at text, document text not null);
create table if not exists numbers (name text primary key, value integer) without rowid;
"""

PAYMENT = TypeAdapter(Payment)
MEMBERSHIP = TypeAdapter(Membership)
REFUND = TypeAdapter(Refund)


class Missing(LookupError):
    """No such payment, membership or refund."""


class Store:
    def __init__(self, path: str | Path = ":memory:") -> None:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._lock = RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A stand-in may lose its last moment with the machine, never with the process.
        self._connection.executescript("pragma journal_mode=wal; pragma synchronous=off;" + SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone: nested uses join the outermost one."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("begin immediate")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._connection.execute("rollback")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("commit")

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> Any:
        with self._lock:
            return self._connection.execute(sql, values).fetchone()

    def next_number(self, name: str) -> int:
        """1, 2, 3, … and on after a restart: ids are never given twice."""
        sql = (
            "insert into numbers values (?, 1)"
            " on conflict (name) do update set value = value + 1 returning value"
        )
        return int(self.row(sql, name)[0])

    def number(self, name: str, first: int) -> int:
        """A number settled the first time it is asked for."""
        self.rows("insert into numbers values (?, ?) on conflict do nothing", name, first)
        return int(self.row("select value from numbers where name = ?", name)[0])

    def set_number(self, name: str, value: int) -> None:
        self.rows("insert or replace into numbers values (?, ?)", name, value)

    def _document(self, table: str, entity_id: str) -> str:
        found = self.row(f"select document from {table} where id = ?", entity_id)
        if not found:
            raise Missing(entity_id)
        return str(found[0])

    def save_payment(self, payment: Payment) -> None:
        self.rows(
            "insert or replace into payments values (?, ?, ?, ?, ?, ?, ?, ?)",
            payment.id,
            payment.account_id,
            payment.status,
            payment.billing_reason,
            payment.membership_id,
            sortable(payment.created_at),
            sortable(payment.paid_at) if payment.paid_at else "",
            PAYMENT.dump_json(payment).decode(),
        )

    def payment(self, payment_id: str) -> Payment:
        return PAYMENT.validate_json(self._document("payments", payment_id))

    def save_membership(self, membership: Membership) -> None:
        self.rows(
            "insert or replace into memberships values (?, ?, ?, ?, ?, ?)",
            membership.id,
            membership.account_id,
            membership.member_id,
            membership.status,
            sortable(membership.created_at),
            MEMBERSHIP.dump_json(membership).decode(),
        )

    def membership(self, membership_id: str) -> Membership:
        return MEMBERSHIP.validate_json(self._document("memberships", membership_id))

    def save_refund(self, refund: Refund) -> None:
        self.rows(
            "insert or replace into refunds values (?, ?, ?, ?, ?)",
            refund.id,
            refund.account_id,
            refund.payment_id,
            sortable(refund.created_at),
            REFUND.dump_json(refund).decode(),
        )

    def refund(self, refund_id: str) -> Refund:
        return REFUND.validate_json(self._document("refunds", refund_id))

    def schedule(self, due: Due) -> None:
        """A later plan of the same kind for the same subject replaces the earlier one."""
        self.rows(
            "insert or replace into due values (?, ?, ?, ?)",
            due.kind,
            due.subject,
            sortable(due.at),
            due.detail,
        )

    def forget_due(self, kind: str, subject: str) -> None:
        self.rows("delete from due where kind = ? and subject = ?", kind, subject)

    def planned(self, kind: str, subject: str) -> datetime | None:
        found = self.row("select at from due where kind = ? and subject = ?", kind, subject)
        return datetime.fromisoformat(found[0]) if found else None

    def first_due(self) -> Due | None:
        found = self.row("select kind, subject, at, detail from due order by at limit 1")
        if not found:
            return None
        kind, subject, at, detail = found
        return Due(kind, subject, datetime.fromisoformat(at), detail)
