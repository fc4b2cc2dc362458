"""The quick model for many creators, and for other readings of the hours at which Whop charges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sandbox.simulate.figures import RECOVERED, Weights
from sandbox.simulate.quick import count_agreeing, run_quickly
from sandbox.simulate.report import OURS_IS, Comparison, assess, percent, points, table
from sandbox.simulate.trial import Case, Trial

# Other readings of the hours at which Whop charges by itself.
READINGS: tuple[tuple[float, ...], ...] = ((12, 36, 60, 84, 108), (48, 96), (24, 72, 119), ())
READ_AT = "middle"

Results = Mapping[Trial, Sequence[Case]]


@dataclass(frozen=True, slots=True)
class ManyCreators:
    """`like` is a trial with the study's days and hours of Whop; the other settings vary."""

    like: Trial
    creators: Sequence[int]
    levels: Sequence[str]
    policies: Sequence[str]
    limits: Sequence[int]

    def trials(self) -> Iterator[Trial]:
        for hours, level in self.settings():
            for limit in self.limits:
                for policy in self.policies:
                    yield from self.trials_of(policy, level, limit, hours)

    def settings(self) -> Iterator[tuple[tuple[float, ...], str]]:
        yield from ((self.like.whop_attempts, level) for level in self.levels)
        yield from ((hours, READ_AT) for hours in READINGS)

    def trials_of(
        self, policy: str, level: str, limit: int, hours: tuple[float, ...]
    ) -> Iterator[Trial]:
        for creator in self.creators:
            yield Trial(policy, level, creator, self.like.days, limit, hours, mails=False)

    def compare(
        self, results: Results, weights: Weights, level: str, limit: int, hours: tuple[float, ...]
    ) -> Comparison:
        cases = {
            policy: [
                case
                for trial in self.trials_of(policy, level, limit, hours)
                for case in results[trial]
            ]
            for policy in self.policies
        }
        return Comparison(level, limit, cases, weights)

    def write(self, results: Results, weights: Weights) -> Iterator[str]:
        found = {
            (level, limit): self.compare(results, weights, level, limit, self.like.whop_attempts)
            for level in self.levels
            for limit in self.limits
        }
        yield "\n".join(
            f"- {level}, Whop allows {limit}: {assess(comparison)}."
            for (level, limit), comparison in found.items()
        )
        rows = [
            (f"`{policy}`", *(show(comparison, policy) for comparison in found.values()))
            for policy in self.policies
        ]
        yield "\n".join(table(("policy", *(f"{a}, {b}" for a, b in found)), rows))
        yield f"And if Whop charges by itself at other hours, {READ_AT} level:"
        yield "\n".join(
            f"- at {', '.join(f'{hour:g}' for hour in hours) or 'none'}, Whop allows {limit}: "
            f"{assess(self.compare(results, weights, READ_AT, limit, hours))}."
            for hours in READINGS
            for limit in self.limits
        )


def show(found: Comparison, policy: str) -> str:
    """The share recovered by `smart` in percent; for others, the difference in points."""
    if policy == OURS_IS:
        return percent(found.of(RECOVERED, policy))
    return points(found.against_smart(policy))


def describe_agreement(without_messages: Results) -> str:
    """How many payments the quick model and the real code agree on, charge by charge."""
    payments = sum(len(cases) for cases in without_messages.values())
    agreeing = sum(
        count_agreeing(cases, run_quickly(trial)) for trial, cases in without_messages.items()
    )
    return f"it tells the same of {agreeing} of {payments} payments, charge by charge"
