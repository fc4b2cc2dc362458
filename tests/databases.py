"""Servers and databases for tests: nothing in them outlives the run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from sqlalchemy import Engine, text
from sqlalchemy.engine import URL

from db import embedded, migrate, server_files
from db.models import Base
from db.session import connect

# A database with the schema and nothing in it, of which others are copies.
MIGRATED = "migrated"
NOTHING_TO_LOSE = ("-c", "fsync=off")
WRITTEN_TO = """
    select name from unnest(cast(:names as text[])) as name
    where pg_relation_size(cast(name as regclass)) > 0 or exists (
        select from pg_sequences where sequencename = name || '_id_seq' and last_value is not null)
"""


@contextmanager
def open_folder() -> Iterator[Path]:
    """One that the user Postgres runs as may enter; pytest's own is closed to it."""
    folder = Path(tempfile.mkdtemp(prefix="churn-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server that may be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.server = embedded.Server(folder / "data", folder / "run")
        embedded.initialize(self.server, durable=False)
        self.url = self.server.url.render_as_string()

    def start(self) -> None:
        self.process = embedded.start(self.server, *NOTHING_TO_LOSE)

    def stop(self) -> None:
        embedded.stop(self.process)

    def drop(self) -> None:
        """Without a checkpoint, and for good."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait()


def copy_to_standby(primary: Postgres, folder: Path) -> Postgres:
    """A server that follows `primary` by streaming. Not started yet."""
    server_files.prepare_folder(folder, 0o755)
    user, group = server_files.server_user()
    subprocess.run(
        [
            str(server_files.find_binaries() / "pg_basebackup"),
            f"--pgdata={folder / 'data'}",
            f"--host={primary.server.sockets}",
            f"--username={embedded.SUPERUSER}",
            *("--write-recovery-conf", "--checkpoint=fast", "--no-sync"),
        ],
        check=True,
        capture_output=True,
        cwd="/",
        user=user,
        group=group,
    )
    return Postgres(folder)


@contextmanager
def running() -> Iterator[Postgres]:
    with open_folder() as folder:
        postgres = Postgres(folder)
        postgres.start()
        try:
            yield postgres
        finally:
            postgres.drop()


def execute(url: URL, statement: str) -> Any:
    """By psycopg2, for a server that takes no writes: our own connections refuse it."""
    connection = psycopg2.connect(
        host=url.query["host"], user=embedded.SUPERUSER, dbname=url.database
    )
    connection.autocommit = True
    cursor = connection.cursor()
    cursor.execute(statement)
    found = cursor.fetchone() if cursor.description else None
    connection.close()
    return found[0] if found else None


def take_writes(url: URL, takes: bool) -> None:
    """The server of this database does from now on, or does not."""
    wanted = "off" if takes else "on"
    execute(url, f"alter system set default_transaction_read_only = {wanted}")
    execute(url, "select pg_reload_conf()")
    # Whoever is connected hears of it before the first session that has it is there.
    while execute(url, "show default_transaction_read_only") != wanted:
        pass


def create(server: embedded.Server, name: str, template: str = "template1") -> None:
    engine = connect(server.url, "tests")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"create database {name} template {template}"))
    engine.dispose()


def create_migrated(server: embedded.Server, name: str) -> None:
    """Migrating takes seconds, a copy a moment."""
    if not exists(server, MIGRATED):
        create(server, MIGRATED)
        engine = connect(server.url.set(database=MIGRATED), "tests")
        migrate.upgrade(engine)
        engine.dispose()
    create(server, name, template=MIGRATED)


def exists(server: embedded.Server, name: str) -> bool:
    engine = connect(server.url, "tests")
    with engine.connect() as connection:
        query = text("select 1 from pg_database where datname = :name")
        found = connection.scalar(query, {"name": name})
    engine.dispose()
    return found is not None


def empty(engine: Engine) -> None:
    """As it was when it was migrated. To truncate a table takes as long whether anything is in it
    or not, and most tests write to a few: the others are left alone."""
    names = [table.name for table in Base.metadata.sorted_tables]
    with engine.begin() as connection:
        connection.execute(text("set local lock_timeout = '10s'"))
        if written := connection.scalars(text(WRITTEN_TO), {"names": names}).all():
            tables = ", ".join(written)
            connection.execute(text(f"truncate {tables} restart identity cascade"))
