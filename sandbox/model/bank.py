"""Simulated banks: pure functions from a scenario, a time and an attempt to paid or declined.

They follow what is published about recoveries. Money comes on paydays and runs out again. Technical
errors pass within hours. Unexplained declines sometimes lift. Dead cards never work. Each further
attempt is trusted a little less. The numbers are in assumptions.py.
"""

import math
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from sandbox.model.assumptions import PAY_FREQUENCIES, Assumptions
from sandbox.model.pace import Pace
from sandbox.model.population import CHANGING_SHARE, MISLEADING
from sandbox.model.records import PAID, BankScenario

PAYDAY_HOUR = time(6, tzinfo=UTC)
NIGHT_ENDS = 5
FAR_ENOUGH = timedelta(days=365)


def draw_scenario(
    random: Random, assumed: Assumptions, code: str, failed_at: datetime
) -> BankScenario:
    odds = assumed.odds_of(code)
    clears_at = None
    if random.random() < odds.passes:
        wait = random.expovariate(1 / odds.after_hours)
        clears_at = failed_at + timedelta(hours=odds.not_before_hours + wait)
    frequency = None
    if odds.waits_for_payday:
        names, shares = zip(*PAY_FREQUENCIES.items(), strict=True)
        frequency = random.choices(names, shares)[0]
    return BankScenario(
        starts_at=failed_at,
        luck=random.getrandbits(32),
        pay_frequency=frequency,
        funded_hours=random.lognormvariate(math.log(assumed.funded_hours), assumed.funded_spread),
        clears_at=clears_at,
        clears_hours=odds.for_hours,
        trust_kept=assumed.trust_kept,
        night_patience=assumed.night_patience,
    )


def new_card(scenario: BankScenario, at: datetime) -> BankScenario:
    """The scenario after the member changed the card: the new one works."""
    return replace(scenario, starts_at=at, pay_frequency=None, clears_at=at, clears_hours=None)


def decide(
    scenario: BankScenario, decline_code: str, at: datetime, attempt: int, pace: Pace
) -> str:
    """Returns PAID or the decline code of this charge."""
    bank_time = scenario.starts_at + min((at - scenario.starts_at) * pace.bank_speed, FAR_ENOUGH)
    open_to_charge = is_cleared(scenario, bank_time, pace) or is_funded(scenario, bank_time, pace)
    if open_to_charge and is_trusted(scenario, bank_time, attempt):
        return PAID
    return answer_again(scenario, decline_code, bank_time)


def answer_again(scenario: BankScenario, decline_code: str, at: datetime) -> str:
    """Some banks answer every further charge with whatever comes to hand, a stolen card too."""
    if Random(f"{scenario.luck}/changes").random() >= CHANGING_SHARE:
        return decline_code
    hour = (at - scenario.starts_at) // timedelta(hours=1)
    return Random(f"{scenario.luck}/says/{hour}").choice(MISLEADING)


def scripted(script: Sequence[str], charge: int) -> str:
    """The scripted outcome of this charge, counted from 0. The last one repeats."""
    return script[min(charge, len(script) - 1)]


def is_cleared(scenario: BankScenario, at: datetime, pace: Pace) -> bool:
    if scenario.clears_at is None or at < scenario.clears_at:
        return False
    if scenario.clears_hours is None or pace.money_lasts:
        return True
    return at < scenario.clears_at + timedelta(hours=scenario.clears_hours)


def is_funded(scenario: BankScenario, at: datetime, pace: Pace) -> bool:
    if scenario.pay_frequency is None:
        return False
    paid_on = last_payday(scenario.pay_frequency, scenario.luck, (at - timedelta(hours=6)).date())
    paid_at = datetime.combine(paid_on, PAYDAY_HOUR)
    # Money from before the failure is spent: that is why the payment failed.
    if paid_at <= scenario.starts_at:
        return False
    return pace.money_lasts or at < paid_at + timedelta(hours=scenario.funded_hours)


def is_trusted(scenario: BankScenario, at: datetime, attempt: int) -> bool:
    trust = scenario.trust_kept ** max(0, attempt - 2)
    if at.hour < NIGHT_ENDS:
        trust *= scenario.night_patience
    # Drawn per hour, not per attempt, so that earlier attempts do not change the draw.
    hour = (at - scenario.starts_at) // timedelta(hours=1)
    return Random(f"{scenario.luck}/{hour}").random() < trust


def last_payday(frequency: str, luck: int, day: date) -> date:
    while not is_payday(frequency, luck, day):
        day -= timedelta(days=1)
    return day


def is_payday(frequency: str, luck: int, day: date) -> bool:
    match frequency:
        case "weekly":
            return day.weekday() == 4
        case "biweekly":
            return day.weekday() == 4 and (day.toordinal() // 7 + luck) % 2 == 0
        case "semimonthly":
            return day.day in (1, 15)
        case _:
            return day.day == (1 if luck % 2 else monthrange(day.year, day.month)[1])
