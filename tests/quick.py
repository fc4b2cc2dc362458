"""`pytest --quick`, or `make quick`: every test that needs no database, no browser and no process.

Nobody lists them. A test is left out when it asks for a fixture of NEEDS, itself or through another
fixture; when importing its module imports one of HEAVY; or when it is marked `slow`. One that is
not left out is held to it: whoever starts a process or opens a connection fails.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Skipped
from hypothesis import settings

NEEDS = {"postgres", "database", "browser", "server"}
# Each takes up to seconds to import.
HEAVY = {"pandas", "playwright", "schemathesis", "streamlit"}
# Of Python's audit events.
OUTSIDE = {
    *("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"),
    *("socket.bind", "socket.connect", "socket.getaddrinfo"),
}


class TooHeavy(Skipped):
    """For the quick loop."""


class Scales(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name in HEAVY:
            raise TooHeavy(f"{name} is heavy", allow_module_level=True)


class LightModule(pytest.Module):
    def collect(self) -> Iterator[Any]:
        with suppress(TooHeavy):
            yield from super().collect()


class Watch:
    """Over a test, that it stays within the process."""

    on = False

    def see(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and event in OUTSIDE:
            pytest.fail(f"{event} in a quick test {arguments[:2]}: mark it `slow`", pytrace=True)


watch = Watch()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="no database, no browser, no process")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("quick"):
        settings.load_profile("quick")
        gc.disable()  # ten seconds leave nothing behind that is worth collecting
        sys.meta_path.insert(0, Scales())
        sys.addaudithook(watch.see)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Not even looked at: a module that is slow as a whole."""
    if config.getoption("quick") and collection_path.suffix == ".py":
        return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text() or None
    return None


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    if not parent.config.getoption("quick"):
        return None
    module: pytest.Module = LightModule.from_parent(parent, path=module_path)
    return module


def is_quick(item: pytest.Item) -> bool:
    asked = set(getattr(item, "fixturenames", ()))
    return not asked & NEEDS and item.get_closest_marker("slow") is None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("quick"):
        config.hook.pytest_deselected(items=[item for item in items if not is_quick(item)])
        items[:] = [item for item in items if is_quick(item)]


def pytest_collection_finish(session: pytest.Session) -> None:
    leave_to_the_end(session.config)


def pytest_sessionfinish(session: pytest.Session) -> None:
    leave_to_the_end(session.config)


def leave_to_the_end(config: pytest.Config) -> None:
    """Hypothesis and pytest collect garbage by hand, which would take a fifth of the time."""
    if config.getoption("quick"):
        gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    watch.on = True
    try:
        return (yield)
    finally:
        watch.on = False
