"""The invariants of docs/developers/invariants.md: a line holds each, a test guards each line.

The line carries a mark (tests/marks.py). In a copy of the code it is taken out, inverted and
widened (tests/guards.py), and the test that guards it must then fail. A test that cannot fail would
be worth nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from db.embedded import Server
from tests.guards import GUARDS, MUTANTS, Mutant
from tests.marks import change, find_marks
from tests.soak import SEED

ROOT = Path(__file__).parent.parent
PRODUCT = ("recovery", "db", "mail", "whop", "webhook", "daemon", "dashboard")
CODE = (*PRODUCT, "sandbox", "tests")


# `make test` takes each guard out; `make soak` breaks them in the other two ways as well.
TRIED = [mutant for mutant in MUTANTS if SEED or mutant.way == "taken out"]
HALF_WRITTEN = shutil.ignore_patterns("*.pyc.*")


class Copy:
    """Of the code, in which a line may be missing, and an interpreter that is ready to run it."""

    def __init__(self, folder: Path, postgres: Server) -> None:
        self.folder, self.words = folder, folder / "words"
        for name in CODE:
            shutil.copytree(ROOT / name, folder / name, ignore=HALF_WRITTEN)
        shutil.copy(ROOT / "pyproject.toml", folder)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SOAK_"))}
        self.warm = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=folder,
            env=inherited | {"PYTHONDONTWRITEBYTECODE": "1", "TEST_POSTGRES": str(postgres.data)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, test: str) -> int:
        """pytest's exit code."""
        assert self.warm.stdin is not None
        assert self.warm.stdout is not None
        self.warm.stdin.write(f"tests/{test} {self.words}\n")
        self.warm.stdin.flush()
        return int(self.warm.stdout.readline())

    def close(self) -> None:
        assert self.warm.stdin is not None
        self.warm.stdin.close()

    @contextmanager
    def broken(self, mutant: Mutant) -> Iterator[None]:
        guard, changed = mutant.guard, set[Path]()
        try:
            for mark, instead in ((guard.mark, mutant.change.instead), (guard.also, None)):
                if mark is not None:
                    changed.add(path := self.find(mark))
                    path.write_text(change(path.read_text(), mark, instead))
            yield
        finally:
            for path in changed:
                shutil.copy2(ROOT / path.relative_to(self.folder), path)

    def find(self, mark: str) -> Path:
        return dict(find_marks([self.folder / name for name in PRODUCT]))[mark]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory, migrated_engine: Engine, postgres: Server):
    copy = Copy(tmp_path_factory.mktemp("copy"), postgres)
    with copy.warm:
        yield copy
        copy.close()


@pytest.mark.soak
@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: mutant.name)
def test_a_test_fails_when_the_guard_is_broken(copy: Copy, mutant: Mutant):
    with copy.broken(mutant):
        code = copy.run(mutant.test)
    words = copy.words.read_text()
    assert code == 1, f"{mutant.guard.means or mutant.way}\n{words[-2000:]}"
    assert "failed" in words.splitlines()[-1]


def test_each_mark_has_one_guard_and_each_guard_one_mark():
    marks = [text for text, _ in find_marks([ROOT / name for name in PRODUCT])]
    assert sorted(marks) == sorted(guard.mark for guard in GUARDS)
    assert {guard.also for guard in GUARDS if guard.also} <= set(marks)


def test_every_invariant_is_guarded_and_documented():
    page = (ROOT / "docs/developers/invariants.md").read_text()
    assert {guard.invariant for guard in GUARDS} == set(range(1, 12))
    for guard in GUARDS:
        assert guard.test.split("::")[1] in page, guard.test
        assert guard.mark.split(": ", 1)[1] in page, guard.mark


CODE_WITH_MARKS = '''
def one(a):
    if (
        # invariant 1: half of a condition
        a
        or c
    ):  # a remark after it
        pass
    if a:  # invariant 1: a condition
        # a remark before the body
        return 1
    # invariant 2: a statement
    b = [
        1,
    ]
    c = (
        1
        + 2  # invariant 3: a line
        + 4
    )
    return f"""
        where x  -- invariant 4: a line of SQL
        -- invariant 5: the line below
        and y
    """
'''


@pytest.mark.parametrize(
    ("mark", "instead", "gone", "come"),
    [
        ("1: a condition", None, "    if a:  # invariant 1: a condition\n", "    if False:\n"),
        ("1: a condition", "not a", "    if a:  # invariant 1: a condition\n", "    if not a:\n"),
        ("1: half of a condition", "b", "        a\n", "        b\n"),
        ("2: a statement", None, "    b = [\n        1,\n    ]\n", "    pass\n"),
        (
            "2: a statement",
            "b = 2\nd = 3",
            "    b = [\n        1,\n    ]\n",
            "    b = 2\n    d = 3\n",
        ),
        ("3: a line", None, "        + 2  # invariant 3: a line\n", ""),
        ("3: a line", "+ 3", "        + 2  # invariant 3: a line\n", "        + 3\n"),
        ("4: a line of SQL", None, "        where x  -- invariant 4: a line of SQL\n", ""),
        ("5: the line below", "or y", "        and y\n", "        or y\n"),
    ],
)
def test_a_mark_means_the_statement_that_begins_there_or_the_line(mark, instead, gone, come):
    assert CODE_WITH_MARKS.count(gone) == 1
    assert change(CODE_WITH_MARKS, mark, instead) == CODE_WITH_MARKS.replace(gone, come)
