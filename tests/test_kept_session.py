"""The session that the receiver keeps for its writes does what one made anew would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.models import Company
from db.outages import is_transient
from db.session import KeptSession, SessionFactory, find_connection

FIND_PROCESS = text("select pg_backend_pid()")


@pytest.fixture
def kept(sessions: SessionFactory) -> Iterator[KeptSession]:
    kept = KeptSession(sessions)
    yield kept
    kept.close()


def find_process(kept: KeptSession) -> int:
    with kept.begin() as session:
        found: int = find_connection(session).execute(FIND_PROCESS).scalar_one()
    return found


def by_connection(session: Session, name: str) -> None:
    find_connection(session).execute(text("insert into companies (id) values (:id)"), {"id": name})


def by_session(session: Session, name: str) -> None:
    session.add(Company(id=name))


def by_both(session: Session, name: str) -> None:
    by_connection(session, f"{name}_too")
    by_session(session, name)


by_any_way = pytest.mark.parametrize("write", [by_connection, by_session, by_both])
Write = Callable[[Session, str], None]


def list_companies(sessions: SessionFactory) -> set[str]:
    with sessions() as session:
        return set(session.scalars(text("select id from companies")))


@by_any_way
def test_each_transaction_is_committed_at_its_end(
    kept: KeptSession, sessions: SessionFactory, write: Write
) -> None:
    for name in ("biz_1", "biz_2"):
        with kept.begin() as session:
            write(session, name)
            assert name not in list_companies(sessions)
        assert name in list_companies(sessions)


@by_any_way
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_undoes_its_own_transaction_alone(
    kept: KeptSession, sessions: SessionFactory, write: Write, error: type[BaseException]
) -> None:
    with kept.begin() as session:
        write(session, "biz_before")
    before = list_companies(sessions)

    def lose() -> None:
        with kept.begin() as session:
            write(session, "biz_lost")
            session.flush()
            raise error

    with pytest.raises(error):
        lose()
    assert list_companies(sessions) == before
    with kept.begin() as session:
        write(session, "biz_after")
    assert list_companies(sessions) > before


def test_the_connection_is_kept_until_an_error(kept: KeptSession) -> None:
    first, second = find_process(kept), find_process(kept)
    assert first == second
    with pytest.raises(LookupError), kept.begin():
        raise LookupError
    assert kept.session is None


def test_what_one_transaction_has_read_is_read_again_by_the_next(
    kept: KeptSession, sessions: SessionFactory
) -> None:
    with kept.begin() as session:
        company = Company(id="biz_1", time_zone="UTC")
        session.add(company)
    with sessions.begin() as other:
        other.execute(update(Company).values(time_zone="Europe/Berlin"))
    with kept.begin() as session:
        assert session.get_one(Company, "biz_1").time_zone == "Europe/Berlin"
    assert company.time_zone == "UTC"  # held on to until now, and still not believed


def test_a_connection_that_was_cut_is_replaced(kept: KeptSession, sessions: SessionFactory) -> None:
    cut = find_process(kept)
    with sessions.begin() as other:
        other.execute(text("select pg_terminate_backend(:pid)"), {"pid": cut})
    with pytest.raises(DBAPIError) as caught:
        find_process(kept)
    assert is_transient(caught.value)
    assert find_process(kept) != cut


def test_closing_it_gives_the_connection_back(kept: KeptSession, sessions: SessionFactory) -> None:
    find_process(kept)
    pool = sessions.kw["bind"].pool
    out = pool.checkedout()
    kept.close()
    assert pool.checkedout() == out - 1
    kept.close()
    assert pool.checkedout() == out - 1


def test_it_gives_the_session_a_connection_of_its_own(kept: KeptSession) -> None:
    with kept.begin() as session:
        assert isinstance(session.bind, Connection)
        assert not session.in_transaction()
