"""A real Postgres for the whole run, a clean database for every test.

What takes long to import is imported by the fixture that needs it: most tests need none of it.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.orm import Session

    from db.embedded import Server
    from db.session import SessionFactory

pytest_plugins = ["tests.browser", "tests.guards", "tests.quick", "tests.soak"]
numbers = itertools.count()
# Fixtures that start processes.
PROCESSES = {"browser", "processes", "stage"}

SETTINGS = ("DATABASE_", "WHOP_", "SENDGRID_", "EMAIL_", "RETRY_", "MAX_RETRIES", "API_TOKEN")
MORE = ("ENVIRONMENT", "LOG_", "LINK_", "BASE_", "FRAME_", "FRONTEND_", "TRUSTED_", "DASHBOARD_")
for name in [name for name in os.environ if name.startswith((*SETTINGS, *MORE))]:
    del os.environ[name]  # a developer's own settings must not reach a test


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    call_each_by_its_own_name(items)
    put_long_files_first(items)


def call_each_by_its_own_name(items: list[pytest.Item]) -> None:
    """schemathesis calls a test of several operations the same for each, and of those that are
    called the same pytest-xdist runs one."""
    for item in items:
        if (operation := getattr(item, "operation_label", None)) is not None:
            item._id = item._id.with_params(operation)
    if twice := [name for name, n in Counter(item.nodeid for item in items).items() if n > 1]:
        raise pytest.UsageError(f"several tests are called {', '.join(twice)}")


def put_long_files_first(items: list[pytest.Item]) -> None:
    """A worker takes one file after the other, so that no fixture of a file is made twice; with the
    short ones at the end no worker is left with a long one."""
    long = {item.path for item in items if is_long(item)}
    items.sort(key=lambda item: item.path not in long)


def is_long(item: pytest.Item) -> bool:
    asked = getattr(item, "fixturenames", ())
    return not PROCESSES.isdisjoint(asked) or item.get_closest_marker("soak") is not None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    from db.embedded import Server
    from tests.databases import running

    if shared := os.environ.get("TEST_POSTGRES"):  # a run within a run (test_invariants)
        yield Server(Path(shared), Path(shared).parent / "run")
        return
    with running() as own:
        yield own.server


@pytest.fixture(scope="session")
def migrated_engine(postgres: Server) -> Iterator[Engine]:
    from db.session import connect
    from tests.databases import create_migrated

    name = f"tests_{os.getpid()}"
    create_migrated(postgres, name)
    # It is not asked before each use: this server stays.
    url = postgres.url.set(database=name)
    engine = connect(url, "tests", pool_size=10, ask_first=False)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated_engine: Engine) -> Iterator[Engine]:
    """Migrated and empty."""
    from tests.databases import empty

    yield migrated_engine
    empty(migrated_engine)


@pytest.fixture
def empty_engine(postgres: Server) -> Iterator[Engine]:
    """A database of its own, without any schema."""
    from db.session import connect
    from tests.databases import create

    name = f"empty_{os.getpid()}_{next(numbers)}"
    create(postgres, name)
    engine = connect(postgres.url.set(database=name), "tests")
    yield engine
    engine.dispose()


@pytest.fixture
def database_url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def sessions(engine: Engine) -> SessionFactory:
    from db.session import session_factory

    return session_factory(engine)


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    with sessions() as session:
        yield session
