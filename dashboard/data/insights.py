"""What the insights show. Asked for chart by chart, so that only what is seen is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, keep
from dashboard.data.database import Trouble, read
from dashboard.settings import DashboardSettings
from db.reporting import insights
from db.reporting import lift as worth
from db.reporting import summary as stats
from db.reporting.cohorts import Dimension, Scope
from db.reporting.insights import Group, Hour, StepCount, Try
from db.session import now
from recovery.lift import Lift, NotEnoughData

Found = TypeVar("Found")
KEPT = 300
"""Answers: charts by periods, companies and choices of groups."""


class Span(StrEnum):
    """The value stands in the page's address and on the button."""

    MONTH = "30 days"
    QUARTER = "90 days"
    YEAR = "12 months"
    ALL = "All time"

    @property
    def length(self) -> timedelta | None:
        days = {Span.MONTH: 30, Span.QUARTER: 90, Span.YEAR: 365}
        return timedelta(days[self]) if self in days else None


@dataclass(frozen=True, slots=True)
class Whose:
    company_id: str
    time_zone: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class View:
    """Whose payments, of which span, and which of them: the key of all that is kept here."""

    company_id: str
    time_zone: str
    span: Span
    only: tuple[tuple[Dimension, str], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """`watched`: the closed payments that the recoveries by `hours` are a part of."""

    watched: int
    hours: tuple[Hour, ...]


class NothingToShowError(Exception):
    """The database cannot be asked. An exception here: it must not be kept for minutes."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble


@keep(FRESH)
def find_whose(settings: DashboardSettings, company_id: str | None) -> Whose | Trouble:
    def look(session: Session) -> Whose:
        whose = company_id or ""
        return Whose(whose, stats.find_time_zone(session, whose).key, now())

    return read(settings, look)


def ask(settings: DashboardSettings, view: View, what: Callable[[Session, Scope], Found]) -> Found:
    at, length = now(), view.span.length
    since = None if length is None else at - length
    scope = Scope(view.company_id, ZoneInfo(view.time_zone), since, at, view.only)
    found = read(settings, lambda session: what(session, scope))
    if isinstance(found, Trouble):
        raise NothingToShowError(found)
    return found


@keep(SLOW, KEPT)
def read_whole(settings: DashboardSettings, view: View) -> Group:
    return ask(settings, view, insights.sum_scope)


@keep(SLOW, KEPT)
def read_groups(settings: DashboardSettings, view: View, by: Dimension) -> list[Group]:
    return ask(settings, view, lambda session, scope: insights.list_groups(session, scope, by))


@keep(SLOW, KEPT)
def read_tries(settings: DashboardSettings, view: View) -> list[Try]:
    return ask(settings, view, insights.list_tries)


@keep(SLOW, KEPT)
def read_curve(settings: DashboardSettings, view: View) -> Curve:
    def look(session: Session, scope: Scope) -> Curve:
        watched = insights.count_watched(session, scope)
        return Curve(watched, tuple(insights.list_hours(session, scope)))

    return ask(settings, view, look)


@keep(SLOW, KEPT)
def read_steps(settings: DashboardSettings, view: View) -> list[StepCount]:
    return ask(settings, view, insights.list_steps)


@keep(SLOW, KEPT)
def read_lift(settings: DashboardSettings, company_id: str) -> Lift | NotEnoughData | None:
    found = read(settings, lambda session: (worth.measure_lift(session, company_id, now()),))
    if isinstance(found, Trouble):
        raise NothingToShowError(found)
    return found[0]


@keep(SLOW, KEPT)
def read_baseline(settings: DashboardSettings, company_id: str) -> worth.Baseline | None:
    found = read(settings, lambda session: (worth.measure_baseline(session, company_id),))
    if isinstance(found, Trouble):
        raise NothingToShowError(found)
    return found[0]
