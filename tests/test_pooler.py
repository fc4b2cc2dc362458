"""Through PgBouncer in transaction mode, where no transaction meets the session of the last one."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import URL

from db import migrate
from db.connections import autocommit, change_settings, is_lent
from db.embedded import Server
from db.session import connect, find_connection, wait_until_ready
from tests.databases import create, open_folder
from tests.factories import NOW
from tests.factories import event as new_event
from tests.pages import fresh as fresh
from tests.pooler import PgBouncer, pooling
from tests.processes import stage_in
from tests.reach import EVERYTHING, Reach, reaching
from tests.test_receiver import Receiver, make_settings
from webhook.app import create_app

numbers = count()
SESSION = text(
    "select pg_backend_pid(), current_setting('timezone'), current_setting('statement_timeout')"
)


@pytest.fixture(scope="module")
def pooler(postgres: Server) -> Iterator[PgBouncer]:
    with open_folder() as folder, pooling(folder, postgres) as pooler:
        yield pooler


@pytest.fixture
def pooled(pooler: PgBouncer, postgres: Server) -> Iterator[Engine]:
    """A new database, migrated through the pooler."""
    name = f"pooled_{os.getpid()}_{next(numbers)}"
    create(postgres, name)
    engine = connect(pooler.url(name), "tests")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def reach(pooled: Engine) -> Iterator[Reach]:
    with reaching(pooled.url) as reach:
        yield reach


def look(connection: Connection) -> tuple[int, str, str]:
    pid, zone, timeout = connection.execute(SESSION).one()
    connection.commit()
    return pid, zone, timeout


def test_each_transaction_has_its_settings_whichever_session_it_meets(pooled: Engine) -> None:
    with pooled.connect() as connection:
        found = [look(connection) for _ in range(8)]
        change_settings(connection, {"statement_timeout": "0"})
        assert {look(connection)[2] for _ in range(4)} == {"0"}
    assert len({pid for pid, _, _ in found}) > 1
    assert {(zone, timeout) for _, zone, timeout in found} == {("UTC", "15s")}


def test_a_transaction_leaves_nothing_behind_for_other_clients(
    pooled: Engine, pooler: PgBouncer
) -> None:
    with pooled.connect() as connection:
        ours = {look(connection)[0] for _ in range(8)}
        with connection.execution_options(isolation_level="AUTOCOMMIT") as alone:
            found = [alone.execute(SESSION).one() for _ in range(8)]
    assert ours & {pid for pid, _, _ in found}
    assert {timeout for _, _, timeout in found} == {"0"}


def test_every_delivery_is_answered_200_and_stored_whatever_happens_behind_the_pooler(
    reach: Reach, pooled: Engine, pooler: PgBouncer
) -> None:
    for _ in range(4):
        assert [reach.deliver() for _ in range(10)] == [(200, "")] * 10
        # As after idle seconds, and when the server has changed: all sessions are new.
        pooler.command("RECONNECT")
    assert reach.serves() == EVERYTHING
    assert reach.read() == 41


def test_a_session_that_ends_behind_the_pooler_costs_no_delivery(
    reach: Reach, pooled: Engine
) -> None:
    assert reach.deliver()[0] == 200
    with pooled.begin() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        )
    assert [reach.deliver() for _ in range(8)] == [(200, "")] * 8
    assert reach.read() == 9


def test_a_machine_that_is_gone_without_a_word_is_given_up(pooler: PgBouncer) -> None:
    """Nobody can be made to vanish here, so the line itself is asked."""
    address = URL.create("postgresql+psycopg2", "postgres", host="127.0.0.1", port=pooler.port)
    engine = connect(address.set(database="postgres"), "tests")
    with engine.connect() as connection:
        number = connection.connection.dbapi_connection.fileno()  # type: ignore[union-attr]
        with socket.socket(fileno=os.dup(number)) as line:
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 10
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 20_000
    engine.dispose()


def test_whoever_is_refused_by_the_pooler_says_why_it_waits(
    pooler: PgBouncer, caplog: pytest.LogCaptureFixture
) -> None:
    engine = connect(pooler.url("postgres").set(username="nobody_we_know"), "tests")
    stopped = iter([False, True])
    assert not wait_until_ready(engine, lambda: next(stopped))
    assert "waiting: the database does not answer (it says: " in caplog.text


def test_a_failed_payment_is_charged_and_recovered_through_the_pooler(
    pooled: Engine, tmp_path: Path
) -> None:
    with stage_in(tmp_path, pooled) as stage:
        payment_id = stage.fail("insufficient_funds", "paid")
        stage.make_due(payment_id)
        stage.work_once()
        assert stage.row(payment_id).status == "recovered"
        assert len(stage.retries(payment_id)) == 1


# --- what a direct connection may meet -----------------------------------------------------------


@pytest.fixture
def writer(engine: Engine) -> Iterator[Engine]:
    writer = connect(engine.url, "webhook-inbox", ask_first=False, pool_size=1)
    yield writer
    writer.dispose()


@pytest.fixture
def receiver(writer: Engine) -> Iterator[Receiver]:
    receiver = Receiver(create_app(make_settings(), writer, lambda: NOW))
    yield receiver
    receiver.stop()


def test_a_direct_connection_keeps_its_session(writer: Engine) -> None:
    with writer.connect() as connection:
        assert not is_lent(connection)
        found = {look(connection) for _ in range(4)}
    assert [(zone, timeout) for _, zone, timeout in found] == [("UTC", "15s")]


def find_kept(receiver: Receiver) -> Connection:
    """The connection that the receiver keeps for its writes."""
    session = receiver.app.state.group_commit.kept.session
    assert session is not None
    return find_connection(session)


@pytest.mark.parametrize("meddle", ["deallocate all", "discard all"])
def test_a_statement_that_is_gone_is_written_in_full_from_then_on(
    receiver: Receiver, meddle: str
) -> None:
    """A pooler that hides itself."""
    assert receiver.deliver(new_event()).status_code == 200
    with autocommit(find_kept(receiver).connection.dbapi_connection) as cursor:
        cursor.execute(meddle)
    assert receiver.deliver(new_event()).status_code == 200
    assert is_lent(find_kept(receiver))
    assert receiver.deliver(new_event()).status_code == 200


def test_a_statement_that_another_client_has_prepared_is_not_ours(
    receiver: Receiver, writer: Engine
) -> None:
    @event.listens_for(writer, "connect")
    def prepare(connection: object, record: object) -> None:
        connection.cursor().execute("prepare store_deliveries as select 1")  # type: ignore[attr-defined]
        connection.commit()  # type: ignore[attr-defined]

    assert receiver.deliver(new_event()).status_code == 200
    with writer.connect() as connection:
        assert is_lent(connection)
