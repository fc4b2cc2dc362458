"""One SQLite file that outlives the process. Records are JSON documents with columns to search."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from pydantic import TypeAdapter

from sandbox.model.records import Dispute, Due, Membership, Payment, Refund
from sandbox.model.times import sortable
from sandbox.state.schema import SCHEMA

PAYMENT = TypeAdapter(Payment)
MEMBERSHIP = TypeAdapter(Membership)
REFUND = TypeAdapter(Refund)
DISPUTE = TypeAdapter(Dispute)


class Missing(LookupError):
    """No such payment, membership, refund or card."""


class Store:
    def __init__(self, path: str | Path = ":memory:") -> None:
        if path != ":memory:":
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        self.lock = RLock()
        self.depth = 0
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # The last writes may be lost if the machine crashes, but not if the process does.
        self.connection.executescript("pragma journal_mode=wal; pragma synchronous=off;" + SCHEMA)

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Exclusive, and rolled back on any exception. Nested uses join the outermost one."""
        with self.lock:
            if self.depth == 0:
                self.connection.execute("begin immediate")
            self.depth += 1
            try:
                yield
            except BaseException:
                self.depth -= 1
                if self.depth == 0:
                    self.connection.execute("rollback")
                raise
            self.depth -= 1
            if self.depth == 0:
                self.connection.execute("commit")

    def rows(self, sql: str, *values: Any) -> list[Any]:
        with self.lock:
            return self.connection.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> Any:
        with self.lock:
            return self.connection.execute(sql, values).fetchone()

    def next_number(self, name: str) -> int:
        """1, 2, 3, …, continued after a restart, so that ids are never reused."""
        sql = (
            "insert into numbers values (?, 1)"
            " on conflict (name) do update set value = value + 1 returning value"
        )
        return int(self.row(sql, name)[0])

    def number(self, name: str, first: int) -> int:
        """A stored number; `first` is stored the first time it is asked for."""
        self.rows("insert into numbers values (?, ?) on conflict do nothing", name, first)
        return int(self.row("select value from numbers where name = ?", name)[0])

    def set_number(self, name: str, value: int) -> None:
        self.rows("insert or replace into numbers values (?, ?)", name, value)

    def save(self, table: str, entity_id: str, document: bytes, **columns: str) -> None:
        """Inserts or replaces a document; `columns` are what listings filter and sort by."""
        names = ", ".join(columns)
        marks = ", ".join("?" * (len(columns) + 2))
        self.rows(
            f"insert or replace into {table} (id, document, {names}) values ({marks})",
            entity_id,
            document.decode(),
            *columns.values(),
        )

    def document(self, table: str, entity_id: str) -> str:
        found = self.row(f"select document from {table} where id = ?", entity_id)
        if not found:
            raise Missing(entity_id)
        return str(found[0])

    def save_payment(self, payment: Payment) -> None:
        self.save(
            "payments",
            payment.id,
            PAYMENT.dump_json(payment),
            account_id=payment.account_id,
            status=payment.status,
            billing_reason=payment.billing_reason,
            membership_id=payment.membership_id,
            created_at=sortable(payment.created_at),
            paid_at=sortable(payment.paid_at) if payment.paid_at else "",
        )

    def products(self, account_id: str) -> list[tuple[str, str]]:
        """Ids and titles, by id."""
        return self.rows(
            "select distinct document ->> '$.product_id', document ->> '$.product_title'"
            " from memberships where account_id = ? order by 1",
            account_id,
        )

    def payment(self, payment_id: str) -> Payment:
        return PAYMENT.validate_json(self.document("payments", payment_id))

    def payments_of(self, membership_id: str, *statuses: str) -> list[Payment]:
        """Oldest first."""
        found = self.rows(
            "select document from payments where membership_id = ? and status in"
            f" ({', '.join('?' * len(statuses))}) order by created_at, id",
            membership_id,
            *statuses,
        )
        return [PAYMENT.validate_json(document) for (document,) in found]

    def save_membership(self, membership: Membership) -> None:
        self.save(
            "memberships",
            membership.id,
            MEMBERSHIP.dump_json(membership),
            account_id=membership.account_id,
            member_id=membership.member_id,
            status=membership.status,
            created_at=sortable(membership.created_at),
        )

    def membership(self, membership_id: str) -> Membership:
        return MEMBERSHIP.validate_json(self.document("memberships", membership_id))

    def save_refund(self, refund: Refund) -> None:
        self.save(
            "refunds",
            refund.id,
            REFUND.dump_json(refund),
            account_id=refund.account_id,
            payment_id=refund.payment_id,
            created_at=sortable(refund.created_at),
        )

    def refund(self, refund_id: str) -> Refund:
        return REFUND.validate_json(self.document("refunds", refund_id))

    def schedule(self, due: Due) -> None:
        """Replaces an earlier event of the same kind for the same subject."""
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
