"""Whether recovery works: the facts, and one assessment of each for pages, warnings and posts.

Pure functions; docs/operators/health.md lists the thresholds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from recovery.status import SyncError

BEAT_LATE, BEAT_LOST = timedelta(minutes=3), timedelta(minutes=15)
CYCLE_LATE, CYCLE_LOST = timedelta(hours=2), timedelta(hours=6)
SYNC_LATE = timedelta(hours=3)
QUIET = timedelta(days=1)
FEWEST_UNDELIVERED, MOST_UNDELIVERED = 5, 0.05
# Fewer may be unlucky.
FEWEST_SETTLED = 5


class Level(StrEnum):
    """The word shown beside the colour, since a colour alone is not enough for everybody."""

    GREEN = "OK"
    AMBER = "Check"
    RED = "Problem"
    NONE = "No data yet"


class State(Enum):
    """The state of one part, and how bad that is."""

    def __init__(self, word: str, level: Level) -> None:
        self.level = level


def grade(age: timedelta, late: timedelta, lost: timedelta) -> Level:
    if age > lost:
        return Level.RED
    return Level.AMBER if age > late else Level.GREEN


@dataclass(frozen=True, slots=True)
class CycleReport:
    """What a cycle did. A count that another version of the daemon does not report is 0."""

    settled: int = 0
    # Failed payments of which no webhook told us.
    found: int = 0
    retried: int = 0
    closed: int = 0
    errors: int = 0


@dataclass(frozen=True, slots=True)
class DaemonHeartbeat:
    """The newest heartbeat. `last_cycle_at`: of all daemons; `report`: about all companies."""

    beat_at: datetime
    last_cycle_at: datetime | None = None
    whop_down_since: datetime | None = None
    report: CycleReport | None = None


class CycleState(State):
    FINE = "fine", Level.GREEN
    ERRORS = "errors", Level.AMBER
    LATE = "late", Level.AMBER
    LOST = "lost", Level.RED
    NEVER = "never", Level.RED


# In these states nothing is charged until a cycle runs.
OVERDUE = frozenset({CycleState.LATE, CycleState.LOST, CycleState.NEVER})


def assess_daemon(heartbeat: DaemonHeartbeat | None, now: datetime) -> Level:
    return Level.RED if heartbeat is None else grade(now - heartbeat.beat_at, BEAT_LATE, BEAT_LOST)


def assess_cycle(heartbeat: DaemonHeartbeat | None, now: datetime) -> CycleState:
    if heartbeat is None or heartbeat.last_cycle_at is None:
        return CycleState.NEVER
    match grade(now - heartbeat.last_cycle_at, CYCLE_LATE, CYCLE_LOST):
        case Level.RED:
            return CycleState.LOST
        case Level.AMBER:
            return CycleState.LATE
    return CycleState.ERRORS if heartbeat.report and heartbeat.report.errors else CycleState.FINE


@dataclass(frozen=True, slots=True)
class SyncFailure:
    """Why payments could not be read back from Whop. `detail` is for people, not for code."""

    error: SyncError
    detail: str


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far a company's payments are read back, and what stopped the last reading."""

    read_until: datetime | None = None
    failure: SyncFailure | None = None
    missing_permissions: tuple[str, ...] = ()

    @property
    def has_error(self) -> bool:
        return self.failure is not None or bool(self.missing_permissions)


class WhopState(State):
    FINE = "fine", Level.GREEN
    UNREAD = "unread", Level.NONE
    LATE = "late", Level.AMBER
    # A permission is missing, which has a warning of its own.
    NOT_PERMITTED = "not permitted", Level.AMBER
    UNREADABLE = "unreadable", Level.RED
    KEY_REFUSED = "key refused", Level.RED
    DOWN = "down", Level.RED


WHOP_STATES = {
    SyncError.ACCESS_DENIED: WhopState.KEY_REFUSED,
    SyncError.PERMISSION_MISSING: WhopState.NOT_PERMITTED,
    SyncError.UNAVAILABLE: WhopState.UNREADABLE,
}
UNCERTAIN = frozenset({WhopState.DOWN, WhopState.UNREADABLE, WhopState.NOT_PERMITTED})


def assess_whop(
    heartbeat: DaemonHeartbeat | None, sync: SyncState | None, now: datetime
) -> WhopState:
    """While Whop is down, reading fails only because of that, so DOWN comes first."""
    if heartbeat is not None and heartbeat.whop_down_since is not None:
        return WhopState.DOWN
    if sync is not None and sync.failure is not None:
        return WHOP_STATES[sync.failure.error]
    if sync is None or sync.read_until is None:
        return WhopState.UNREAD
    return WhopState.LATE if now - sync.read_until > SYNC_LATE else WhopState.FINE


def is_key_refused(state: WhopState) -> bool | None:
    """None: another problem hides whether it is."""
    return None if state in UNCERTAIN else state is WhopState.KEY_REFUSED


@dataclass(frozen=True, slots=True)
class Webhooks:
    """When the last one came, and the first failure since then that only reading back found."""

    last_received_at: datetime | None = None
    first_missed_at: datetime | None = None

    @property
    def silent_since(self) -> datetime | None:
        """None: none was missed."""
        return (self.last_received_at or self.first_missed_at) if self.first_missed_at else None


class WebhookState(State):
    FINE = "fine", Level.GREEN
    NONE_RECEIVED = "unheard", Level.NONE
    # A small company may simply have no failures.
    QUIET = "quiet", Level.AMBER
    # There was a failure, and no webhook told of it.
    SILENT = "silent", Level.RED


def assess_webhooks(webhooks: Webhooks, now: datetime) -> WebhookState:
    if webhooks.silent_since is not None and now - webhooks.silent_since >= QUIET:
        return WebhookState.SILENT
    if webhooks.last_received_at is None:
        return WebhookState.NONE_RECEIVED
    return WebhookState.QUIET if now - webhooks.last_received_at > QUIET else WebhookState.FINE


@dataclass(frozen=True, slots=True)
class Deliverability:
    """The emails of the last 24 hours that SendGrid accepted, and how many of them hurt the
    sender's reputation. `settled`: those of which SendGrid must have told something by now;
    `heard`: those of which it has."""

    sent: int = 0
    undelivered: int = 0
    settled: int = 0
    heard: int = 0


class DeliverabilityState(State):
    FINE = "fine", Level.GREEN
    NO_MAIL = "no mail", Level.NONE
    BOUNCING = "bouncing", Level.RED
    # So no payment after an email is claimed (attribution.py).
    UNHEARD = "unheard", Level.AMBER


def assess_deliverability(mails: Deliverability) -> DeliverabilityState:
    if not mails.sent:
        return DeliverabilityState.NO_MAIL
    many = mails.undelivered > mails.sent * MOST_UNDELIVERED
    if many and mails.undelivered >= FEWEST_UNDELIVERED:
        return DeliverabilityState.BOUNCING
    unheard = mails.settled >= FEWEST_SETTLED and not mails.heard
    return DeliverabilityState.UNHEARD if unheard else DeliverabilityState.FINE
