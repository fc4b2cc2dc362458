"""A real PgBouncer in transaction mode: each transaction gets another session of the server's."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
from sqlalchemy.engine import URL

from db import embedded, server_files
from tests.processes import free_port, wait_until

# With `server_round_robin`, a session is used again only after all others.
CONFIGURATION = """
[databases]
* = host={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir = {folder}
unix_socket_mode = 0777
auth_type = trust
auth_file = {folder}/users
admin_users = postgres
pool_mode = transaction
server_round_robin = 1
default_pool_size = 8
min_pool_size = 4
"""


class PgBouncer:
    def __init__(self, folder: Path, server: embedded.Server) -> None:
        self.folder = folder / "pooler"
        server_files.prepare_folder(self.folder, 0o755)
        (self.folder / "users").write_text('"postgres" ""')
        self.file = self.folder / "pgbouncer.ini"
        self.port = free_port()
        self.file.write_text(
            CONFIGURATION.format(server=server.sockets, folder=self.folder, port=self.port)
        )
        self.log = self.folder / "log"
        user, group = server_files.server_user()
        found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert found, "there is no PgBouncer: scripts/pgbouncer"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [found, str(self.file)],
                user=user,
                group=group,
                stdout=log,
                stderr=log,
                preexec_fn=embedded.stop_with_parent,
                cwd="/",
            )
        wait_until((self.folder / f".s.PGSQL.{self.port}").exists, self.log.read_text())

    def url(self, database: str) -> URL:
        query = {"host": str(self.folder), "port": str(self.port)}
        return URL.create("postgresql+psycopg2", "postgres", database=database, query=query)

    def command(self, words: str) -> None:
        """To its own console."""
        connection = psycopg2.connect(
            host=str(self.folder), port=self.port, user="postgres", dbname="pgbouncer"
        )
        connection.autocommit = True
        connection.cursor().execute(words)
        connection.close()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


@contextmanager
def pooling(folder: Path, server: embedded.Server) -> Iterator[PgBouncer]:
    pooler = PgBouncer(folder, server)
    try:
        yield pooler
    finally:
        pooler.stop()
