"""Lines that hold an invariant carry a mark: `# invariant 3: a claim is exclusive`; in SQL, `--`.

At the end of a statement's first line, or on a line of its own before it, a mark means that
statement; within a statement, the line.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

MARK = re.compile(r"(?:#|--) invariant (?P<text>\d+: .+?)\s*$")


def find_marks(folders: list[Path]) -> Iterator[tuple[str, Path]]:
    """Each mark's text, and the file that it is in."""
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            for line in path.read_text().splitlines():
                if (mark := MARK.search(line)) is not None:
                    yield mark["text"], path


def change(source: str, mark: str, instead: str | tuple[str, str] | None = None) -> str:
    """The code with something else in the place of what is marked.

    None: a condition is never met, a statement does nothing, a line is gone. A pair: a piece of it,
    which stands there once, and what takes the piece's place. In a condition `…` is the old one.
    """
    lines = source.splitlines()
    number = find_line(lines, mark)
    statement = find_statement(source, number)
    last = number
    if isinstance(statement, ast.If):
        last = find_end_of_header(source, number)
    elif statement is not None:
        last = statement.end_lineno or number
    marked = lines[number - 1 : last]
    if isinstance(instead, tuple):
        changed = replace_once("\n".join(marked), *instead).splitlines()
    else:
        indent = re.match(r"\s*", marked[0])
        assert indent is not None
        changed = [indent[0] + line for line in replace(source, statement, instead)]
    return "\n".join([*lines[: number - 1], *changed, *lines[last:], ""])


def replace(source: str, statement: ast.stmt | None, instead: str | None) -> list[str]:
    if statement is None:
        return [] if instead is None else [instead]
    if not isinstance(statement, ast.If):
        return (instead or "pass").splitlines()
    condition = ast.get_source_segment(source, statement.test) or ""
    return [f"if {(instead or 'False').replace('…', condition)}:"]


def replace_once(code: str, piece: str, instead: str) -> str:
    assert code.count(piece) == 1, f"'{piece}' is {code.count(piece)} times in:\n{code}"
    return code.replace(piece, instead)


def find_line(lines: list[str], mark: str) -> int:
    """Of what is marked, counted from 1."""
    found = [
        number + (line.lstrip().startswith(("#", "--")))
        for number, line in enumerate(lines, 1)
        if (seen := MARK.search(line)) is not None and seen["text"] == mark
    ]
    assert len(found) == 1, f"the mark '{mark}' stands {len(found)} times"
    return found[0]


def find_statement(source: str, number: int) -> ast.stmt | None:
    """The one that begins there. None: the line is a part of one."""
    starting = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno == number
    ]
    return starting[0] if starting else None


def find_end_of_header(source: str, number: int) -> int:
    """The line of the colon that ends the condition that begins there."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    ends = (t.end[0] for t in tokens if t.type == tokenize.NEWLINE and t.start[0] >= number)
    return next(ends)
