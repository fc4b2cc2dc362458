"""What our API key must be allowed at Whop."""

from __future__ import annotations

from recovery.health import SyncFailure
from recovery.status import SyncError

# Without one of these Whop's lists are empty.
LISTING = "payment:basic:read"
MEMBERS = "member:basic:read"
DISPUTES = "payment:dispute:read"
NEEDED = (
    LISTING,
    "payment:manage",
    DISPUTES,
    MEMBERS,
    "member:email:read",
    "member:manage",
    # For members without a known email address.
    "support_chat:create",
    "support_chat:message:create",
)
NOT_PERMITTED = SyncFailure(
    SyncError.PERMISSION_MISSING, f"Whop does not let us read payments: {LISTING} is missing"
)
