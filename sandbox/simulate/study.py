"""Chooses the trials, and puts their cases together for the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from sandbox.simulate.figures import Weights, resample
from sandbox.simulate.many_creators import ManyCreators, describe_agreement
from sandbox.simulate.report import (
    OURS_IS,
    Comparison,
    assess,
    show_assumptions,
    show_bands,
    show_comparison,
    show_schedules,
)
from sandbox.simulate.trial import Case, Trial

RESAMPLES, MANY_RESAMPLES = 1000, 400
Results = Mapping[Trial, Sequence[Case]]


@dataclass(frozen=True, slots=True)
class Study:
    """`limits`: readings of how many retries of a payment Whop allows; the first is the main one.
    `whop_attempts`: hours at which Whop charges by itself. `many`: creators in the quick model.
    """

    seed: int
    creators: int
    days: int
    levels: Sequence[str]
    policies: Sequence[str]
    limits: Sequence[int]
    whop_attempts: tuple[float, ...]
    many: int

    @property
    def command(self) -> str:
        given = {
            "seed": self.seed,
            "creators": self.creators,
            "days": self.days,
            "levels": ",".join(self.levels),
            "policies": ",".join(self.policies),
            "limits": ",".join(map(str, self.limits)),
            "whop-attempts": ",".join(f"{hours:g}" for hours in self.whop_attempts),
            "many": self.many,
        }
        return "python -m sandbox.simulate " + " ".join(f"--{k} {v}" for k, v in given.items())

    def trials(self) -> Iterator[Trial]:
        for level in self.levels:
            yield from self.trials_of(OURS_IS, level, self.limits[0], mails=False)
            for limit in self.limits:
                for policy in self.policies:
                    yield from self.trials_of(policy, level, limit)

    def trials_of(
        self, policy: str, level: str, limit: int, *, mails: bool = True
    ) -> Iterator[Trial]:
        for number in range(1, self.creators + 1):
            creator = 100 * self.seed + number
            yield Trial(policy, level, creator, self.days, limit, self.whop_attempts, mails)

    def pool(
        self, results: Results, policy: str, level: str, limit: int, *, mails: bool = True
    ) -> list[Case]:
        trials = self.trials_of(policy, level, limit, mails=mails)
        return [case for trial in trials for case in results[trial]]

    @property
    def many_creators(self) -> ManyCreators:
        """Creators that neither the trials nor the tuning of the policy have used."""
        first = 100_000 * self.seed + 1
        like = Trial(OURS_IS, self.levels[0], first, self.days, self.limits[0], self.whop_attempts)
        creators = range(first, first + self.many)
        return ManyCreators(like, creators, self.levels, self.policies, self.limits)

    def write(self, results: Results, quick: Results) -> str:
        main = self.limits[0]
        with_messages = {level: self.pool(results, OURS_IS, level, main) for level in self.levels}
        without_messages = {
            level: self.pool(results, OURS_IS, level, main, mails=False) for level in self.levels
        }
        sizes = ", ".join(f"{len(cases)} {level}" for level, cases in with_messages.items())
        parts = [
            f"Made by `{self.command}`: {self.creators} creators, {self.days} days each; failed "
            f"renewals: {sizes}. In brackets: 95 % intervals.",
            "### The bands",
            show_bands(with_messages, without_messages),
            "### The policies",
            *self.write_comparisons(results),
            *self.write_many_creators(results, quick),
            "### The schedules",
            show_schedules(self.policies),
            "### The assumptions",
            show_assumptions(self.levels),
        ]
        return "\n\n".join(parts)

    def write_comparisons(self, results: Results) -> Iterator[str]:
        for level in self.levels:
            for limit in self.limits:
                cases = {p: self.pool(results, p, level, limit) for p in self.policies}
                weights = self.draw_weights(len(cases[OURS_IS]))
                found = Comparison(level, limit, cases, weights)
                yield f"**{level.capitalize()}, Whop allows {limit}.** {assess(found)}."
                yield show_comparison(found)

    def write_many_creators(self, results: Results, quick: Results) -> Iterator[str]:
        if not self.many:
            return
        without_messages = {
            trial: results[trial]
            for level in self.levels
            for trial in self.trials_of(OURS_IS, level, self.limits[0], mails=False)
        }
        trials = self.many_creators.trials_of(
            OURS_IS, self.levels[0], self.limits[0], self.whop_attempts
        )
        payments = sum(len(quick[trial]) for trial in trials)
        yield "### Many creators"
        yield (
            f"To tell apart two policies that differ by a point takes more payments than the real "
            f"code lives through in half an hour. So {self.many} other creators, {payments} failed "
            f"renewals at each level, are left to a quick model of the same world and policies, "
            f"without messages. Beside the real code's trials without messages "
            f"{describe_agreement(without_messages)}."
        )
        yield from self.many_creators.write(quick, self.draw_weights(payments, MANY_RESAMPLES))

    def draw_weights(self, size: int, times: int = RESAMPLES) -> Weights:
        return resample(Random(f"{self.seed}/resamples"), size, times)
