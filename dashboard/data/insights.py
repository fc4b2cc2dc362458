"""What the insights page reads, chart by chart, so that only visible charts are computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dashboard.data.caching import FRESH, SLOW, cached
from dashboard.data.database import Unavailable, read
from dashboard.settings import DashboardSettings
from db.reporting import groups, insights
from db.reporting.cohorts import Cohort, Dimension
from db.reporting.groups import Group
from db.reporting.insights import Hour, StepCount, Try
from db.reporting.lift import Baseline, measure_baseline, measure_lift
from db.reporting.pooled_lift import find_pooled
from db.reporting.summary import find_time_zone
from db.session import now
from recovery.lift.comparison import Lift, NotEnoughData
from recovery.lift.pooling import PooledLift
from recovery.wording import Period, find_start

Found = TypeVar("Found")
# Answers: charts by periods, companies and choices of groups.
KEPT = 300


SPANS = (Period.MONTH, Period.QUARTER, Period.YEAR, Period.ALL)


@dataclass(frozen=True, slots=True)
class CompanyInfo:
    company_id: str
    time_zone: str
    as_of: datetime


@dataclass(frozen=True, slots=True)
class View:
    """A company's payments of a period, filtered by `only`: the key of all that is cached here."""

    company_id: str
    time_zone: str
    period: Period
    only: tuple[tuple[Dimension, str], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """`watched`: all payments with a final result, of which `hours` counts the recovered ones."""

    watched: int
    hours: tuple[Hour, ...]


class NothingToShowError(Exception):
    """The database is unavailable. An exception, so that it is not cached for minutes."""

    def __init__(self, reason: Unavailable) -> None:
        super().__init__(reason.value)
        self.reason = reason


@cached(FRESH)
def find_company_info(
    settings: DashboardSettings, company_id: str | None
) -> CompanyInfo | Unavailable:
    def look(session: Session) -> CompanyInfo:
        company = company_id or ""
        return CompanyInfo(company, find_time_zone(session, company).key, now())

    return read(settings, look)


def find(settings: DashboardSettings, look: Callable[[Session], Found]) -> Found:
    """Raises NothingToShowError, so that it is not kept that the database was away."""
    found = read(settings, lambda session: (look(session),))
    if isinstance(found, Unavailable):
        raise NothingToShowError(found)
    return found[0]


def ask(settings: DashboardSettings, view: View, what: Callable[[Session, Cohort], Found]) -> Found:
    at, zone = now(), ZoneInfo(view.time_zone)
    since = find_start(view.period, at, zone)
    cohort = Cohort(view.company_id, zone, since, at, view.only)
    return find(settings, lambda session: what(session, cohort))


@cached(SLOW, KEPT)
def read_whole(settings: DashboardSettings, view: View) -> Group:
    return ask(settings, view, groups.sum_cohort)


@cached(SLOW, KEPT)
def read_groups(settings: DashboardSettings, view: View, by: Dimension) -> list[Group]:
    return ask(settings, view, lambda session, cohort: groups.list_groups(session, cohort, by))


@cached(SLOW, KEPT)
def read_tries(settings: DashboardSettings, view: View) -> list[Try]:
    return ask(settings, view, insights.list_tries)


@cached(SLOW, KEPT)
def read_curve(settings: DashboardSettings, view: View) -> Curve:
    def look(session: Session, cohort: Cohort) -> Curve:
        watched = insights.count_watched(session, cohort)
        return Curve(watched, tuple(insights.list_hours(session, cohort)))

    return ask(settings, view, look)


@cached(SLOW, KEPT)
def read_steps(settings: DashboardSettings, view: View) -> list[StepCount]:
    return ask(settings, view, insights.list_steps)


@cached(SLOW, KEPT)
def read_lift(settings: DashboardSettings, company_id: str) -> Lift | NotEnoughData | None:
    return find(settings, lambda session: measure_lift(session, company_id, now()))


@cached(SLOW, KEPT)
def read_pooled(settings: DashboardSettings) -> PooledLift | None:
    return find(settings, find_pooled)


@cached(SLOW, KEPT)
def read_baseline(settings: DashboardSettings, company_id: str) -> Baseline | None:
    return find(settings, lambda session: measure_baseline(session, company_id))
