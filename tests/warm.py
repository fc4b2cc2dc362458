"""`python -m tests.warm`: runs tests, each in a fork that finds what is not ours imported already.

Reads a test's id and a file per line, writes pytest's words into the file and its exit code to
stdout. Nothing of ours is imported before a fork, so that each has the code as it is by then.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

import pytest

from tests.forkserver import LIBRARIES

OTHERS = (*LIBRARIES, "hypothesis.stateful", "starlette.testclient", "_pytest.assertion.rewrite")
IMPORTED_ALREADY = "ignore::pytest.PytestAssertRewriteWarning"


def run(test: str, file: str) -> int:
    with open(file, "wb") as words:
        os.dup2(words.fileno(), sys.stdout.fileno())
        os.dup2(words.fileno(), sys.stderr.fileno())
    return pytest.main(["-q", "-x", "-p", "no:cacheprovider", "-W", IMPORTED_ALREADY, test])


def main() -> None:
    for name in OTHERS:
        import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(run(*line.split()))
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
