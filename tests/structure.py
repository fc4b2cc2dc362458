"""`python -m tests.structure`: how large modules and functions are, and that rules are only rules.

`make check` runs it. It prints the figures, then a line for each rule that is broken.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

ROOT = Path(__file__).resolve().parent.parent
CODE = (
    "recovery",
    "db",
    "mail",
    "whop",
    "webhook",
    "daemon",
    "dashboard",
    "sandbox",
    "bench",
)
NOT_MEASURED = "migrations"

LONGEST_MODULE = 250
LONG_MODULE, MOST_LONG_MODULES = 200, 10
HIGHEST_MEDIAN, HIGHEST_P90 = 8, 20

RULES = "recovery"
MOST_RULES = 20
# In each of its rooms.
MOST_IN_A_ROOM = 10
# What a rule may know: nothing here reads a clock, a file, the network or chance.
PURE = frozenset(
    {
        "__future__",
        "calendar",
        "collections",
        "collections.abc",
        "dataclasses",
        "datetime",
        "decimal",
        "enum",
        "functools",
        "hashlib",
        "html",
        "itertools",
        "math",
        "operator",
        "re",
        "statistics",
        "string",
        "types",
        "typing",
        "unicodedata",
        "zlib",
        "zoneinfo",
    }
)
CLOCKS = frozenset({"now", "utcnow", "today", "fromtimestamp"})
SIDE_DOORS = frozenset({"open", "print", "input", "exec", "eval", "__import__"})


@dataclass(frozen=True, slots=True)
class Module:
    path: str
    lines: int
    # The length of each, from `def` to its last line.
    functions: tuple[int, ...]


def list_modules(root: Path = ROOT) -> list[Module]:
    found = (path for folder in CODE for path in sorted((root / folder).rglob("*.py")))
    return [read_module(root, path) for path in found if NOT_MEASURED not in path.parts]


def read_module(root: Path, path: Path) -> Module:
    text = path.read_text()
    lengths = tuple(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return Module(path.relative_to(root).as_posix(), len(text.splitlines()), lengths)


def find_faults(modules: list[Module]) -> Iterator[str]:
    """In words, one for each budget that is overrun."""
    long = [module for module in modules if module.lines > LONG_MODULE]
    for module in long:
        if module.lines > LONGEST_MODULE:
            yield f"{module.path} has {module.lines} lines; at most {LONGEST_MODULE}"
    if len(long) > MOST_LONG_MODULES:
        named = ", ".join(f"{module.path} ({module.lines})" for module in long)
        yield f"{len(long)} modules above {LONG_MODULE} lines; at most {MOST_LONG_MODULES}: {named}"
    middle, high = measure_functions(modules)
    if middle > HIGHEST_MEDIAN or high > HIGHEST_P90:
        yield (
            f"functions: median {middle:g}, p90 {high:g};"
            f" at most {HIGHEST_MEDIAN} and {HIGHEST_P90}"
        )


def measure_functions(modules: list[Module]) -> tuple[float, float]:
    """Median and 90th percentile of their lengths."""
    lengths = [length for module in modules for length in module.functions]
    if len(lengths) < 2:
        return sum(lengths), sum(lengths)
    return median(lengths), quantiles(lengths, n=10, method="inclusive")[-1]


def find_impure_rules(root: Path = ROOT) -> Iterator[str]:
    """recovery/ knows nothing but pure parts of the standard library, and stays small."""
    paths = [path for path in sorted((root / RULES).rglob("*.py")) if path.name != "__init__.py"]
    for folder, number in Counter(path.parent for path in paths).items():
        most = MOST_RULES if folder == root / RULES else MOST_IN_A_ROOM
        if number > most:
            name = folder.relative_to(root).as_posix()
            yield f"{name}/ has {number} modules; at most {most}"
    for path in paths:
        name = path.relative_to(root).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if what := find_impurity(node):
                yield f"{name}:{getattr(node, 'lineno', 0)} {what}: a rule is a pure function"


def find_impurity(node: ast.AST) -> str | None:
    match node:
        case ast.Import(names=names):
            unknown = [name.name for name in names if name.name not in PURE]
            return f"imports {unknown[0]}" if unknown else None
        case ast.ImportFrom(module=module, level=level):
            of_rules = level > 0 or (module or "").split(".")[0] == RULES
            return None if of_rules or module in PURE else f"imports {module}"
        case ast.Call(func=ast.Attribute(attr=name)) if name in CLOCKS:
            return f"reads the clock by {name}()"
        case ast.Call(func=ast.Name(id=name)) if name in SIDE_DOORS:
            return f"calls {name}()"
    return None


def main(root: Path = ROOT) -> int:
    modules = list_modules(root)
    middle, high = measure_functions(modules)
    longest = max(modules, key=lambda module: module.lines)
    sys.stdout.write(
        f"{len(modules)} modules, the longest {longest.lines} lines ({longest.path}),"
        f" {sum(module.lines > LONG_MODULE for module in modules)} above {LONG_MODULE};"
        f" functions: median {middle:g}, p90 {high:g} lines\n"
    )
    faults = [*find_faults(modules), *find_impure_rules(root)]
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
