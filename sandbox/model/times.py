"""Times are aware and UTC everywhere; these are the three ways they change form."""

from datetime import UTC, datetime


def utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at!r}")
    return at.astimezone(UTC)


def iso(at: datetime) -> str:
    """As Whop writes it."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sortable(at: datetime) -> str:
    """As the store keeps it: fixed width, so that text order is time order."""
    return at.isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
