"""What a test or demo can switch: readings of what Whop does not document, and network faults."""

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Literal

FaultKind = Literal[
    "latency",
    "timeout_before",
    "timeout_after",
    "refused",
    "status",
    "500_after",
    "drop",
    "duplicate",
    "delay",
]
EVERY_OPERATION = "*"
WEBHOOK = "webhook"


@dataclass
class Switches:
    """One UNKNOWN of Whop's documentation each: docs/developers/sandbox.md lists them."""

    retry_limit: int = 3
    retryable_shows_limit: bool = True
    retry_rearmed_by_whop_attempt: bool = False
    retry_rearmed_by_card_change: bool = False
    retry_uses_new_card: bool = True
    retry_answers: Literal["sync", "async"] = "sync"
    async_seconds: float = 5.0
    retry_moves_next_attempt: bool = False
    card_change_charges: bool = True
    card_update_answers: Literal["sync", "async"] = "sync"
    card_update_charges: Literal["oldest", "newest", "every"] = "oldest"
    unknown_card_status: Literal[400, 404, 422] = 400
    cancel_request_stops_retries: bool = False
    pause_shown: Literal["action", "filter"] = "action"
    pause_stops_retries: bool = False
    whop_attempts_after_hours: tuple[float, ...] = (24, 48, 72, 96)
    whop_cancels_after_days: float | None = 5.0
    failed_webhook_for: Literal["every_attempt", "first_only"] = "every_attempt"
    webhook_shape: Literal["current", "legacy"] = "current"
    webhook_timing: Literal["after_answer", "before_answer"] = "after_answer"
    lapsed_payment: Literal["open", "uncollectible", "void"] = "open"
    max_page: int = 50
    rate_per_minute: int = 600
    denied_permissions: tuple[str, ...] = ()
    mail_bounce_share: float = 0.02
    mail_spam_share: float = 0.001
    mail_refusal: Literal[
        "none",
        "revoked_key",
        "credits",
        "no_permission",
        "sender",
        "address",
        "content",
        "too_large",
        "region",
    ] = "none"
    mail_bounce_type: Literal["bounce", "blocked", "expired"] = "bounce"
    mail_bounces_are_bare: bool = False
    mail_opened_by_machines: bool = False
    mail_times: Literal["number", "text"] = "number"


@dataclass(frozen=True)
class Fault:
    kind: FaultKind
    seconds: float = 0.0
    status: int = 503
    times: int | None = 1


@dataclass
class Faults:
    """A queue of faults for each operation. Each call takes the first one.

    Operations are those of `api.ROUTES` (such as `payments.retry`), `mail.send`, `webhook`,
    `webhook:<event>`, and `*` for any call.
    """

    waiting: dict[str, deque[Fault]] = field(default_factory=lambda: defaultdict(deque))
    lock: Lock = field(default_factory=Lock)

    def add(
        self,
        operation: str,
        kind: FaultKind,
        *,
        seconds: float = 0.0,
        status: int = 503,
        times: int | None = 1,
    ) -> None:
        """`times` is the number of calls it applies to; None: until `clear`."""
        with self.lock:
            self.waiting[operation].append(Fault(kind, seconds, status, times))

    def take(self, *operations: str) -> Fault | None:
        with self.lock:
            for operation in operations:
                if queue := self.waiting.get(operation):
                    return take_first(queue)
        return None

    def clear(self) -> None:
        with self.lock:
            self.waiting.clear()


def take_first(queue: deque[Fault]) -> Fault:
    fault = queue[0]
    if fault.times is None:
        return fault
    if fault.times > 1:
        queue[0] = replace(fault, times=fault.times - 1)
    else:
        queue.popleft()
    return fault
