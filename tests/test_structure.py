"""The budgets of size and the purity of the rules: each is broken once, and must be named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.named import find_definition
from tests.structure import (
    CODE,
    LONG_MODULE,
    LONGEST_MODULE,
    MOST_LONG_MODULES,
    MOST_RULES,
    NOT_MEASURED,
    ROOT,
    Module,
    find_faults,
    find_impure_rules,
    list_modules,
    main,
)

FORMER_NAMES = ROOT / "docs/developers/former-names.md"


def module(lines: int = 10, functions: tuple[int, ...] = (), name: str = "db/one.py") -> Module:
    return Module(name, lines, functions)


def write_rule(root: Path, text: str, name: str = "rule.py") -> None:
    folder = root / "recovery"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


@pytest.mark.slow
def test_every_folder_of_the_product_is_measured():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(CODE)
    measured = {found.path for found in list_modules()}
    assert not [path for path in measured if NOT_MEASURED in path]
    assert {path.split("/")[0] for path in measured} == set(CODE)


def test_a_module_may_be_as_long_as_the_budget_and_not_a_line_longer():
    assert not list(find_faults([module(LONGEST_MODULE)]))
    (fault,) = find_faults([module(LONGEST_MODULE + 1)])
    assert fault.startswith(f"db/one.py has {LONGEST_MODULE + 1} lines")


def test_only_some_modules_may_be_long():
    some = [module(LONG_MODULE + 1) for _ in range(MOST_LONG_MODULES)]
    assert not list(find_faults([*some, module(LONG_MODULE)]))
    (fault,) = find_faults([*some, module(LONG_MODULE + 1)])
    assert fault.startswith(f"{MOST_LONG_MODULES + 1} modules above {LONG_MODULE} lines")


@pytest.mark.parametrize("lengths", [(9, 9, 9), (1, 1, 1, 1, 1, 1, 1, 1, 40, 40)])
def test_functions_are_short_in_the_middle_and_at_the_long_end(lengths: tuple[int, ...]):
    assert not list(find_faults([module(functions=(8,) * 9 + (20,))]))
    (fault,) = find_faults([module(functions=lengths)])
    assert fault.startswith("functions: median")


def test_the_length_of_a_function_is_from_its_def_to_its_last_line(tmp_path: Path):
    (tmp_path / "db").mkdir()
    text = "@decorated\ndef one():\n    return (\n        1\n    )\n\n\nasync def two(): ...\n"
    (tmp_path / "db" / "one.py").write_text(text)
    assert list_modules(tmp_path) == [Module("db/one.py", 8, (4, 1))]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("import sqlalchemy\n", "imports sqlalchemy"),
        ("from sqlalchemy import text\n", "imports sqlalchemy"),
        ("from db.models import Payment\n", "imports db.models"),
        ("import os\n", "imports os"),
        ("from pathlib import Path\n", "imports pathlib"),
        ("import random\n", "imports random"),
        ("import time\n", "imports time"),
        ("def later():\n    import socket\n", "imports socket"),
        ("from datetime import datetime\ndatetime.now()\n", "reads the clock by now()"),
        ("from datetime import date\ndate.today()\n", "reads the clock by today()"),
        ("open('x')\n", "calls open()"),
        ("print('x')\n", "calls print()"),
    ],
)
def test_a_rule_that_is_not_pure_is_named(tmp_path: Path, text: str, what: str):
    write_rule(tmp_path, text)
    (fault,) = find_impure_rules(tmp_path)
    assert what in fault


def test_a_rule_may_know_other_rules_and_values(tmp_path: Path):
    text = "from decimal import Decimal\n\nfrom recovery.status import Step\nfrom . import money\n"
    write_rule(tmp_path, text)
    assert not list(find_impure_rules(tmp_path))


def test_the_room_of_rules_does_not_become_a_drawer(tmp_path: Path):
    for number in range(MOST_RULES + 1):
        write_rule(tmp_path, "", f"rule_{number}.py")
    (fault,) = find_impure_rules(tmp_path)
    assert fault.startswith(f"recovery/ has {MOST_RULES + 1} modules")


def test_it_ends_with_an_error_when_a_rule_is_broken(tmp_path: Path, capsys):
    write_rule(tmp_path, "import os\n")
    assert main(tmp_path) == 1
    assert "recovery/rule.py:1 imports os" in capsys.readouterr().out


@pytest.mark.slow
def test_the_product_keeps_its_budgets(capsys):
    assert main() == 0, capsys.readouterr().out


def test_former_names_lead_to_what_is_there_now():
    rows = re.findall(r"^\| `(\S+)` \| `(\S+)` \|$", FORMER_NAMES.read_text(), re.MULTILINE)
    assert len(rows) > 100
    now = {new for _, new in rows}
    assert [new for new in now if not (ROOT / new).exists()] == []
    assert [old for old, _ in rows if (ROOT / old).exists() and old not in now] == []


def test_former_names_in_code_lead_to_what_is_defined_now() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| `(\w+)` \| `(\S+)` \|$", FORMER_NAMES.read_text(), re.MULTILINE
    )
    assert len(rows) > 50
    lost = [(new, path) for _, new, path in rows if find_definition(ROOT / path, new) is None]
    assert lost == []
    assert [(old, path) for old, _, path in rows if find_definition(ROOT / path, old)] == []
