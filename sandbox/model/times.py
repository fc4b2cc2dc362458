"""Converts times. Everywhere in the sandbox they are timezone-aware and in UTC."""

from datetime import UTC, datetime


def utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at!r}")
    return at.astimezone(UTC)


def iso(at: datetime) -> str:
    """In Whop's format."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sortable(at: datetime) -> str:
    """In the store's format: fixed width, so that sorting the text sorts by time."""
    return at.isoformat(timespec="microseconds")


def parse(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
