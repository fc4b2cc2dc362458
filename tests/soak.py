"""How far the long proofs go: a slice in `make test`, ten times as far in `make soak`.

The slice is the same every time. What `make soak` draws follows from one number, its seed, which it
prints at the start: 1 unless another is given.

    make soak SEED=7 TIMES=25 TESTS=tests/test_recovery_machine.py

Long proofs are those marked `soak`, and whatever hypothesis draws the examples of.
"""

from __future__ import annotations

import os

from hypothesis import settings

# 0: this is the slice.
SEED = int(os.environ.get("SOAK_SEED", "0"))
TIMES = int(os.environ.get("SOAK_TIMES", "10")) if SEED else 1
SLICE = settings(derandomize=True, deadline=None, database=None, print_blob=True)

settings.register_profile("slice", SLICE)
# The quick loop takes a fifth of it: what it misses, `make test` finds.
settings.register_profile("quick", SLICE, max_examples=20)
settings.register_profile("soak", SLICE, derandomize=False, max_examples=100 * TIMES)
settings.load_profile("soak" if SEED else "slice")


def at_length(slice_: int) -> int:
    """How many, if so many are the slice."""
    return slice_ * TIMES


def choose_seed(usual: int) -> int:
    return SEED or usual


def pytest_report_header() -> str | None:
    return f"soak: seed {SEED}, {TIMES} times as far as `make test`" if SEED else None
