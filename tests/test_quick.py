"""The quick loop has every test of the rules, and none that reaches beyond its process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.quick import watch

ROOT = Path(__file__).parent.parent
RULES = "recovery"
# What a test of rules alone may import.
KNOWN = sys.stdlib_module_names | {"pytest", "hypothesis", RULES}
FIXTURES = ("tests/conftest.py", "tests/browser.py")

# Of a module's file, and in it.
Name = tuple[str, str]


@cache
def read_names(file: str) -> dict[str, set[Name] | str]:
    """For each name of a module: the names that it is made of, or where it is imported from."""
    names: dict[str, set[Name] | str] = {}
    for node in ast.parse((ROOT / file).read_text()).body:
        match node:
            case ast.Import(names=imported):
                names |= {(one.asname or one.name).split(".")[0]: one.name for one in imported}
            case ast.ImportFrom(module=str(module), names=imported):
                names |= {one.asname or one.name: f"{module}.{one.name}" for one in imported}
            case _:
                used: set[Name] = {(file, name) for name in find_used(node)}
                names |= dict.fromkeys(find_defined(node), used)
    return names


def find_defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    return find_bound(node)


def find_bound(node: ast.stmt) -> set[str]:
    parts = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return {part.id for part in parts if isinstance(part.ctx, ast.Store)}


def find_used(node: ast.stmt) -> set[str]:
    """Of names beyond the statement; a function's parameters are fixtures, or nothing."""
    read = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)} - find_bound(node)
    given = {part.arg for part in ast.walk(node) if isinstance(part, ast.arg)}
    if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
        return read | given
    return read - given


def find_roots(start: Name) -> set[str]:
    """The packages behind a name, however many names of tests lie between; and `a fixture` where
    one of the common ones does."""
    common = {name for file in FIXTURES for name in read_names(file)}
    roots: set[str] = set()
    seen, left = {start}, [start]
    while left:
        file, name = left.pop()
        leads_to = read_names(file).get(name, set())
        if name in common and not leads_to:
            roots.add("a fixture")
        elif isinstance(leads_to, set):
            left += leads_to - seen
            seen |= leads_to
        elif leads_to.count(".") > 1 and leads_to.startswith("tests."):
            module, _, name = leads_to.rpartition(".")
            left.append((f"{module.replace('.', '/')}.py", name))
        else:
            roots.add(leads_to.split(".")[0])
    return roots


def find_tests_of_rules() -> Iterator[str]:
    for path in sorted((ROOT / "tests").glob("test_*.py")):
        file = path.relative_to(ROOT).as_posix()
        for name in read_names(file):
            if name.startswith("test_"):
                roots = find_roots((file, name))
                if RULES in roots and roots <= KNOWN:
                    yield f"{file}::{name}"


@pytest.mark.slow
def test_no_test_of_the_rules_alone_is_left_out():
    command = [sys.executable, "-m", "pytest", "--quick", "--collect-only", "-q"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    quick = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    of_rules = set(find_tests_of_rules())
    assert len(of_rules) > 50
    assert of_rules - quick == set()


@pytest.mark.parametrize("event", ["subprocess.Popen", "socket.connect", "os.fork"])
def test_a_quick_test_that_reaches_beyond_its_process_fails(event: str, monkeypatch):
    monkeypatch.setattr(watch, "on", True)
    with pytest.raises(pytest.fail.Exception, match=event):
        watch.see(event, ("somewhere",))


def test_it_may_read_files(monkeypatch):
    monkeypatch.setattr(watch, "on", True)
    watch.see("open", ("somewhere",))
