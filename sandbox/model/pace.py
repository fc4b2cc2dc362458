"""How fast the simulated world runs: in real time, or faster for a demo."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Pace:
    """Whop's own schedule is never sped up, because the product plans its retries around it.

    `money_lasts` keeps an account funded once it is: a sped-up payday would be too short to hit.
    """

    bank_speed: float = 1.0
    member_speed: float = 1.0
    money_lasts: bool = False
    pending_settles: timedelta = timedelta(days=2)
    refund_after: timedelta = timedelta(days=6)
    refund_settles: timedelta = timedelta(days=1)


HISTORY = Pace()

# One minute of the demo is four days at the bank and four hours for members.
LIVE = Pace(
    bank_speed=5760.0,
    member_speed=240.0,
    money_lasts=True,
    pending_settles=timedelta(minutes=2),
    refund_after=timedelta(minutes=12),
    refund_settles=timedelta(minutes=3),
)
