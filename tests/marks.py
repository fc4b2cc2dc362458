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


def take_out(source: str, mark: str, instead: str | None = None) -> str:
    """The code without what is marked: a condition is never met, a statement does nothing, a line
    is gone. `instead`: what stands in its place."""
    lines = source.splitlines()
    number = find_line(lines, mark)
    statement = find_statement(source, number)
    last = number
    if statement is None:
        replaced = [] if instead is None else [instead]
    elif isinstance(statement, ast.If):
        last = find_end_of_header(source, number)
        replaced = [f"if {instead or 'False'}:"]
    else:
        last = statement.end_lineno or number
        replaced = (instead or "pass").splitlines()
    indent = re.match(r"\s*", lines[number - 1])
    assert indent is not None
    kept = [indent[0] + line for line in replaced]
    return "\n".join([*lines[: number - 1], *kept, *lines[last:], ""])


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
