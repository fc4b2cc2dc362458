"""What is assumed about simulated banks and members, and the source of each assumption.

The numbers are in `levels`; the demo uses the middle level. Where nobody has published a number,
SOURCES says "assumed"; that is why there are three levels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.model.population import cause_of


@dataclass(frozen=True)
class Odds:
    """For one cause of failure: its share, and how often it passes by itself or the member pays.

    It passes after `not_before_hours` plus an exponential wait with mean `after_hours`, and stays
    so for `for_hours` (None: for good).
    """

    share: float
    passes: float = 0.0
    not_before_hours: float = 0.0
    after_hours: float = 1.0
    for_hours: float | None = None
    waits_for_payday: bool = False
    member_pays: float = 0.0


@dataclass(frozen=True)
class Assumptions:
    """One level. Shares are of failed renewals, unless SOURCES says otherwise."""

    name: str
    odds: Mapping[str, Odds]
    funded_hours: float
    funded_spread: float
    trust_kept: float
    night_patience: float
    member_hours: float
    mail_helps: float
    mail_fades: float
    mail_hours: float
    leaves: float
    leaves_per_decline: float

    def odds_of(self, decline_code: str) -> Odds:
        return self.odds.get(cause_of(decline_code) or "", UNKNOWN)

    @property
    def moved_by_mail(self) -> float:
        """The share of readers who pay because of a first email, over all causes."""
        shares = sum(odds.share for odds in self.odds.values())
        paying = sum(odds.share * odds.member_pays for odds in self.odds.values())
        return self.mail_helps * paying / shares


UNKNOWN = Odds(share=0.0, member_pays=0.1)

# Percent of US private firms (BLS, March 2013).
PAY_FREQUENCIES = {"weekly": 32.4, "biweekly": 36.5, "semimonthly": 19.8, "monthly": 11.3}

# Day after the failure, share of emails opened, share clicked (Baremetrics, a million emails).
MAIL_READ = (
    (0, 0.4129, 0.1121),
    (3, 0.341, 0.0764),
    (7, 0.327, 0.0672),
    (15, 0.2817, 0.0411),
    (20, 0.2571, 0.0343),
    (30, 0.2683, 0.0393),
)

SOURCES = {
    "share": "Recurly, 836 sites, 2014-2016, tilted to debit cards",
    "passes": "fitted to the bands above; for lack of funds, money that comes between paydays",
    "not_before_hours": "assumed",
    "after_hours": "assumed, for the first retry's band; Recurly saw most take 2 to 12 days",
    "for_hours": "assumed: what has passed comes back",
    "waits_for_payday": "pay frequencies of US private firms, BLS 2013",
    "member_pays": "fitted to the bands above",
    "funded_hours": "assumed: the median, log-normal; how long money lasts after a payday",
    "funded_spread": "assumed: of its logarithm",
    "trust_kept": "assumed: the chance left after each attempt from the second retry on",
    "night_patience": "Recurly says much more declines from 0:00 to 5:00, not how many: assumed",
    "member_hours": "assumed: the median until a member acts alone",
    "mail_helps": "of member_pays, so that a mail moves less than the 0.13 that Baremetrics saw",
    "mail_fades": "Baremetrics: the mail of day 3 does 0.86 of what the mail of day 0 did",
    "mail_hours": "assumed: the median from mail to payment",
    "leaves": "assumed: members who cancel meanwhile, whatever we do",
    "leaves_per_decline": "assumed: who cancels for one more notice of a failed charge",
}
