"""Finds what documents name in the code, by reading it: nothing is imported."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path

from tests.structure import ROOT

Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign


@lru_cache(maxsize=256)
def read_tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def find_module(module: str) -> Path:
    """Of `db.ledger.claims`; a package is its `__init__`."""
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def find_definition(path: Path, name: str) -> Defined | None:
    """Of `Class.method`, `function` or `CONSTANT` in this file."""
    first, _, rest = name.partition(".")
    found = find_in(read_tree(path), first)
    if not rest:
        return found
    return find_in(found, rest) if isinstance(found, ast.ClassDef) else None


def find_in(scope: ast.Module | ast.ClassDef, name: str) -> Defined | None:
    return next(
        (node for node in scope.body if isinstance(node, Defined) and name in list_defined(node)),
        None,
    )


def list_defined(node: Defined) -> list[str]:
    match node:
        case ast.Assign(targets=targets):
            return [name for target in targets for name in list_mentioned(target)]
        case ast.AnnAssign(target=target):
            return list_mentioned(target)
        case _:
            return [node.name]


def list_mentioned(node: ast.AST) -> list[str]:
    """Every name in it, those of attributes too."""
    return [
        inner.id if isinstance(inner, ast.Name) else inner.attr
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name | ast.Attribute)
    ]
