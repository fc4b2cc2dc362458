"""Finds the places in source code that write a column of payments or attempts, however they do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

ROWS = {"Payment", "NewPayment", "Attempt"}
TAKES_COLUMNS = {
    "values",
    "update",
    "execute",
    "scalars",
    "scalar",
    "on_conflict_do_update",
    "bulk_insert_mappings",
    "bulk_update_mappings",
}


def writes(source: str, column: str) -> bool:
    return any(writes_here(node, column) for node in ast.walk(ast.parse(source)))


def writes_here(node: ast.AST, column: str) -> bool:
    if isinstance(node, ast.Call):
        return is_setattr(node, column) or passes_column(node, column)
    if isinstance(node, ast.Constant | ast.JoinedStr):
        return column in find_set_columns(node)
    return any(
        isinstance(target, ast.Attribute)
        and target.attr == column
        and ast.unparse(target.value) != "self"
        for target in find_targets(node)
    )


def find_targets(node: ast.AST) -> Iterator[ast.AST]:
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if isinstance(node, ast.Delete):
        return
    for target in targets:
        if isinstance(target, ast.AST):
            yield from ast.walk(target)


def is_setattr(call: ast.Call, column: str) -> bool:
    if not isinstance(call.func, ast.Name | ast.Attribute) or len(call.args) < 2:
        return False
    name = call.args[1]
    setter = ast.unparse(call.func) in {"setattr", "object.__setattr__", "set_attribute"}
    return setter and isinstance(name, ast.Constant) and name.value == column


def passes_column(call: ast.Call, column: str) -> bool:
    name = ast.unparse(call.func).rsplit(".", 1)[-1]
    if name in ROWS | {"replace", "values", "update"} and any(
        keyword.arg == column for keyword in call.keywords
    ):
        return True
    if name not in TAKES_COLUMNS | ROWS:
        return False
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    return any(is_column(key, column) for key in find_keys(given))


def find_keys(given: list[ast.expr]) -> Iterator[ast.expr]:
    for value in given:
        for node in ast.walk(value):
            if isinstance(node, ast.Dict):
                yield from (key for key in node.keys if key is not None)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "dict":
                yield from (ast.Constant(keyword.arg) for keyword in node.keywords)


def is_column(key: ast.expr, column: str) -> bool:
    """As a text, or as `Payment.status`."""
    if isinstance(key, ast.Constant):
        return key.value == column
    return isinstance(key, ast.Attribute) and key.attr == column


def find_set_columns(node: ast.Constant | ast.JoinedStr) -> set[str]:
    """Of an `update … set` in raw SQL, over as many lines as it has."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    sql = "".join(str(part.value) if isinstance(part, ast.Constant) else "?" for part in parts)
    found: set[str] = set()
    for assigned in re.findall(r"\bset\b(.*?)(?:\bwhere\b|\breturning\b|;|$)", sql, re.I | re.S):
        found |= {name.strip('"').lower() for name in re.findall(r'(\w+"?)\s*=(?!=)', assigned)}
        for names in re.findall(r"\(([\w\s,\"]+)\)\s*=", assigned):
            found |= {name.strip(' "\n').lower() for name in names.split(",")}
    return found
