"""Writes the sections of the report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from sandbox.model.assumptions import SOURCES, Assumptions, Odds
from sandbox.model.levels import LEVELS
from sandbox.simulate.bands import BANDS
from sandbox.simulate.breaches import count_breaches
from sandbox.simulate.figures import (
    CHARGES,
    CHARGES_OF_OURS,
    LEFT,
    MESSAGES,
    OURS,
    RECOVERED,
    Estimate,
    Figure,
    Weights,
    compare,
    estimate,
)
from sandbox.simulate.schedules import SCHEDULES
from sandbox.simulate.trial import Case

OURS_IS = "smart"
PLAIN = "hourly"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One level and one reading of Whop's retry limit: the same payments under each policy."""

    level: str
    retry_limit: int
    cases: Mapping[str, Sequence[Case]]
    weights: Weights

    def of(self, figure: Figure, policy: str) -> Estimate:
        return estimate(figure.sums(self.cases[policy]), self.weights)

    def against_smart(self, policy: str) -> Estimate:
        ours, theirs = RECOVERED.sums(self.cases[OURS_IS]), RECOVERED.sums(self.cases[policy])
        return compare(ours, theirs, self.weights)


# --- formats -----------------------------------------------------------------------------------


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{' --- |' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def points(found: Estimate) -> str:
    low, high = 100 * found.low, 100 * found.high
    return f"{100 * found.value:+.1f} ({low:+.1f} to {high:+.1f})"


def plain(found: Estimate) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


# --- sections ----------------------------------------------------------------------------------


def show_bands(
    with_messages: Mapping[str, Sequence[Case]], without_messages: Mapping[str, Sequence[Case]]
) -> str:
    rows = []
    for band in BANDS:
        values = [
            band.measure(with_messages[level], without_messages[level]) for level in with_messages
        ]
        produced = [f"{value:.2f} {band.verdict(value)}" for value in values]
        published = f"{band.low:.2f} to {band.high:.2f}"
        rows.append((band.name, band.definition, published, *produced, band.source))
    heads = ("figure", "which is", "published", *with_messages, "by")
    return "\n".join(table(heads, rows))


HEADS = (
    "policy",
    "recovered, $",
    "% of what failed",
    "against `smart`, points",
    "by our retries, %",
    "our charges per recovery",
    "and per recovery of ours",
    "breaches",
    "messages per recovery",
    "members who left, %",
)


def show_comparison(found: Comparison) -> str:
    def recovered(policy: str) -> float:
        return sum(RECOVERED.sums(found.cases[policy]).parts)

    rows = [
        (
            f"`{policy}`",
            f"{recovered(policy):,.0f}",
            percent(found.of(RECOVERED, policy)),
            "" if policy == OURS_IS else points(found.against_smart(policy)),
            percent(found.of(OURS, policy)),
            plain(found.of(CHARGES, policy)),
            plain(found.of(CHARGES_OF_OURS, policy)),
            str(count_breaches(found.cases[policy])),
            plain(found.of(MESSAGES, policy)),
            percent(found.of(LEFT, policy)),
        )
        for policy in sorted(found.cases, key=recovered, reverse=True)
    ]
    return "\n".join(table(HEADS, rows))


def assess(found: Comparison) -> str:
    """Whether `smart` keeps its three promises: most money, half the charges, no breach."""
    others = [policy for policy in found.cases if policy != OURS_IS]
    if not others:
        return "there is nothing to compare with"
    best = max(others, key=lambda policy: RECOVERED.sums(found.cases[policy]).ratio())
    gap = found.against_smart(best)
    if gap.value > 0:
        money = "no, less than"
    elif gap.high < 0:
        money = "yes, more than"
    else:
        money = "yes, but not beyond doubt, against"
    words = [f"most money: {money} the best other, `{best}` ({points(gap)})"]
    if PLAIN in found.cases:
        ours, theirs = (CHARGES.sums(found.cases[p]).ratio() for p in (OURS_IS, PLAIN))
        half = "yes" if ours <= theirs / 2 else "no"
        words.append(f"half of `{PLAIN}`'s charges at most: {half}, {ours:.2f} to {theirs:.2f}")
    breaches = count_breaches(found.cases[OURS_IS])
    words.append(f"no breach: {'yes' if breaches == 0 else f'no, {breaches}'}")
    return "; ".join(words)


def show_schedules(policies: Sequence[str]) -> str:
    rows = []
    for name in policies:
        if (schedule := SCHEDULES.get(name)) is not None:
            hours = ", ".join(f"{hours:.3g}" for hours in schedule.in_window) or "none"
            rows.append((f"`{name}`", schedule.source, schedule.reading, hours))
    heads = ("schedule", "source", "our reading", "hours within Whop's five days")
    return "\n".join(table(heads, rows))


def show_assumptions(names: Sequence[str]) -> str:
    levels = [LEVELS[name] for name in names]
    causes = [
        (cause.replace("_", " "), *(describe(level.odds[cause]) for level in levels))
        for cause in levels[0].odds
    ]
    whole = [
        (name, *(f"{getattr(level, name):g}" for level in levels), SOURCES[name])
        for name in (field.name for field in fields(Assumptions))
        if name in SOURCES
    ]
    sources = [(field.name, SOURCES[field.name]) for field in fields(Odds)]
    return "\n".join(
        [
            *table(("why a renewal fails", *names), causes),
            "",
            *table(("of each cause", "source"), sources),
            "",
            *table(("of a level", *names, "source"), whole),
        ]
    )


def describe(odds: Odds) -> str:
    words = [f"{100 * odds.share:g} %"]
    if odds.waits_for_payday:
        words.append("waits for payday")
    if odds.passes:
        hours = "for good" if odds.for_hours is None else f"for {odds.for_hours:g} h"
        after = f"{odds.not_before_hours:g} + {odds.after_hours:g} h"
        words.append(f"passes in {100 * odds.passes:g} % after {after}, {hours}")
    words.append(f"member pays in {100 * odds.member_pays:g} %")
    return "; ".join(words)
