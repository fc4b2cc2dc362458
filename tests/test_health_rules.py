"""What recovery/health.py makes of an error, whatever its words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recovery.health import WHOP_STATES, SyncFailure, SyncState, WhopState, assess_whop
from recovery.status import SyncError
from tests.factories import NOW


@pytest.mark.parametrize("error", SyncError)
@given(detail=st.text())
def test_rephrasing_what_whop_said_changes_no_judgement(error: SyncError, detail: str) -> None:
    def assess(words: str) -> WhopState:
        return assess_whop(None, SyncState(NOW, SyncFailure(error, words)), NOW)

    assert assess(detail) is assess("Whop answered 401: who?") is WHOP_STATES[error]
