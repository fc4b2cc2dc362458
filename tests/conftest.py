"""A real Postgres for the whole run, a clean database for every test."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from db import embedded, migrate
from db.models import Base
from db.session import SessionFactory, connect, session_factory

pytest_plugins = ["tests.chromium"]
numbers = itertools.count()

SETTINGS = ("DATABASE_", "WHOP_", "SENDGRID_", "EMAIL_", "RETRY_", "MAX_RETRIES", "API_TOKEN")
MORE = ("ENVIRONMENT", "LOG_", "LINK_", "BASE_", "FRAME_", "FRONTEND_", "TRUSTED_", "DASHBOARD_")
for name in [name for name in os.environ if name.startswith((*SETTINGS, *MORE))]:
    del os.environ[name]  # a developer's own settings must not reach a test


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.Server]:
    """Its folder must be open to the user that Postgres runs as, which pytest's own is not."""
    if shared := os.environ.get("TEST_POSTGRES"):  # a run within a run (test_invariants)
        yield embedded.Server(Path(shared), Path(shared).parent / "run")
        return
    folder = Path(tempfile.mkdtemp(prefix="churn-", dir="/tmp"))
    folder.chmod(0o755)
    server = embedded.Server(folder / "data", folder / "run")
    embedded.initialize(server, durable=False)
    process = embedded.start(server)
    yield server
    if process.poll() is None:
        process.send_signal(signal.SIGQUIT)  # nothing here is worth a checkpoint
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_engine(postgres: embedded.Server) -> Iterator[Engine]:
    name = f"tests_{os.getpid()}"
    with connect(postgres.url, "tests").connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"create database {name}"))
    engine = connect(postgres.url.set(database=name), "tests", pool_size=10)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(migrated_engine: Engine) -> Iterator[Engine]:
    """Migrated and empty."""
    yield migrated_engine
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    with migrated_engine.begin() as connection:
        connection.execute(text("set local lock_timeout = '10s'"))
        connection.execute(text(f"truncate {tables} restart identity cascade"))


@pytest.fixture
def empty_engine(postgres: embedded.Server) -> Iterator[Engine]:
    """A database of its own, without any schema."""
    name = f"empty_{os.getpid()}_{next(numbers)}"
    with connect(postgres.url, "tests").connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text(f"create database {name}"))
    engine = connect(postgres.url.set(database=name), "tests")
    yield engine
    engine.dispose()


@pytest.fixture
def database_url(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def sessions(engine: Engine) -> SessionFactory:
    return session_factory(engine)


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    with sessions() as session:
        yield session
