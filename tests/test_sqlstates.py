"""Every code that Postgres has for an error, and whose fault each is."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from psycopg2 import errorcodes
from psycopg2.errors import lookup
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from db.outages import Outage, find_code, find_outage, is_transient
from db.session import connect
from db.sqlstates import CLASSES, CODES, SPOILT, WORTH_REPEATING, Fault, find_fault

ALL = sorted(
    value
    for name, value in vars(errorcodes).items()
    if name.isupper() and isinstance(value, str) and len(value) == 5
)
RAISE = "do $$ begin raise exception 'no' using errcode = '{}'; end $$"


def wrap(code: str) -> DBAPIError:
    """As SQLAlchemy hands on what psycopg2 raises for this code."""
    try:
        kind = lookup(code)
    except KeyError:
        kind = psycopg2.DatabaseError
    error = type(kind.__name__, (kind,), {"pgcode": code})("what the server said")
    wrapped = DBAPIError.instance("select 1", {}, error, psycopg2.Error)
    assert isinstance(wrapped, DBAPIError)
    return wrapped


def list_codes(*faults: Fault) -> set[str]:
    return {code for code in ALL if find_fault(code) in faults}


# --- the table ---------------------------------------------------------------------------------


def test_every_class_of_postgres_s_is_decided_and_no_other() -> None:
    assert {code[:2] for code in ALL} == set(CLASSES)


def test_a_code_is_named_only_where_it_differs_from_its_class() -> None:
    assert set(CODES) <= set(ALL)
    assert [code for code, fault in CODES.items() if CLASSES[code[:2]] is fault] == []


@pytest.mark.parametrize("code", ["58P99", "ZZ000", "99999", "A"])
def test_a_code_that_nobody_knows_is_an_outage(code: str) -> None:
    assert find_fault(code) is Fault.AWAY


def test_only_values_constraints_and_limits_are_the_input_s_fault() -> None:
    """A sequence that has run out is the operator's."""
    expected = {code for code in ALL if code[:2] in {"22", "23", "44", "54"}} - {"2200H"}
    assert list_codes(Fault.INPUT) == expected


def test_whatever_a_server_cannot_do_now_is_an_outage_whichever_exception_it_is_called() -> None:
    """Connections, resources, operators, timeouts, locks, the system, the server's own errors; a
    standby, a transaction that lost, a session that is another one; rights and databases."""
    classes = {"08", "28", "3D", "40", "53", "57", "58", "72", "F0", "XX"}
    codes = {"25006", "25P03", "25P04", "26000", "34000", "42P05", "55000", "55006", "55P03"}
    expected = {code for code in ALL if code[:2] in classes} | codes
    outages = {code for code in ALL if find_outage(wrap(code))}
    assert expected <= outages
    assert outages.isdisjoint(list_codes(Fault.INPUT, Fault.BUG))


def test_what_may_be_repeated_at_once_is_an_outage_if_it_stays() -> None:
    repeated = {code for code in ALL if is_transient(wrap(code))}
    assert repeated == list_codes(*WORTH_REPEATING)
    assert all(find_outage(wrap(code)) for code in repeated)


def test_a_server_that_takes_no_writes_is_told_as_such() -> None:
    assert {code for code in ALL if find_outage(wrap(code)) is Outage.READ_ONLY} == {"25006"}


# --- real connections --------------------------------------------------------------------------


@pytest.fixture
def one_connection(migrated_engine: Engine) -> Iterator[Engine]:
    engine = connect(migrated_engine.url, "tests", ask_first=False, pool_size=1)
    yield engine
    engine.dispose()


def read_pid(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select pg_backend_pid()")) or 0)


def test_a_connection_is_thrown_away_exactly_where_it_is_of_no_more_use(
    one_connection: Engine,
) -> None:
    thrown_away = set()
    # Success cannot be raised.
    codes = [code for code in ALL if code != errorcodes.SUCCESSFUL_COMPLETION]
    for code in codes:
        before = read_pid(one_connection)
        with pytest.raises(DBAPIError) as caught, one_connection.begin() as connection:
            connection.exec_driver_sql(RAISE.format(code))
        assert find_code(caught.value) == code
        if read_pid(one_connection) != before:
            thrown_away.add(code)
    assert thrown_away == {code for code in codes if find_fault(code) in SPOILT}
