"""What happens to an email: it arrives or bounces; its reader opens it, clicks, or complains."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.model.assumptions import MAIL_READ, Assumptions
from sandbox.model.switches import Switches

BOUNCE = {
    "type": "bounce",
    "status": "5.1.1",
    "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
}
# Means of exponential waits. They are invented.
OPENED_WITHIN = timedelta(hours=3)
CLICKED_WITHIN = timedelta(minutes=8)
COMPLAINED_WITHIN = timedelta(hours=1)
BROWSER = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 Mobile"
PROXY = "Mozilla/5.0"


@dataclass(frozen=True)
class ReaderEvent:
    event: str
    at: datetime
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Reader:
    """The reader of one email. `pays_at`: when the member pays because of it, if they do."""

    random: Random
    speed: float
    age: timedelta
    pays_at: datetime | None = None

    def receive(
        self, at: datetime, url: str, assumed: Assumptions, switches: Switches
    ) -> Iterator[ReaderEvent]:
        """Events in order of time. Readers who pay because of the email open it and click first."""
        processed = at + timedelta(seconds=self.random.uniform(0, 1))
        yield ReaderEvent("processed", processed)
        delivered = processed + timedelta(seconds=self.random.uniform(0.5, 8))
        yield ReaderEvent("delivered", delivered, {"response": "250 OK"})
        if switches.mail_opened_by_machines:
            machine = {"useragent": PROXY, "sg_machine_open": True}
            yield ReaderEvent("open", delivered, machine)
        opens, clicks = self.intentions(assumed)
        complains = self.random.random() < switches.mail_spam_share
        opened, clicked = self.times(delivered)
        if opens:
            yield ReaderEvent("open", opened, {"useragent": BROWSER, "sg_machine_open": False})
        if clicks:
            yield ReaderEvent("click", clicked, {"useragent": BROWSER, "url": url})
        if complains and self.pays_at is None:
            yield ReaderEvent("spamreport", clicked + self.after(COMPLAINED_WITHIN))

    def bounce(self, at: datetime) -> Iterator[ReaderEvent]:
        processed = at + timedelta(seconds=self.random.uniform(0, 1))
        yield ReaderEvent("processed", processed)
        bounced = processed + timedelta(seconds=self.random.uniform(0.5, 8))
        yield ReaderEvent("bounce", bounced, BOUNCE)

    def intentions(self, assumed: Assumptions) -> tuple[bool, bool]:
        """Whether the email is opened, and its link clicked.

        Readers who pay always do both. The others do so at rates that make the total match the
        published rates.
        """
        luck = self.random.random()
        if self.pays_at is not None:
            return True, True
        open_rate, click_rate = published_rates(self.age)
        moved = min(assumed.moved_by_mail, click_rate)
        return (
            luck < (open_rate - moved) / (1 - moved),
            luck < (click_rate - moved) / (1 - moved),
        )

    def times(self, delivered: datetime) -> tuple[datetime, datetime]:
        early, late = self.random.uniform(0.2, 0.7), self.random.uniform(0.75, 0.95)
        if self.pays_at is not None:
            span = max(self.pays_at - delivered, timedelta())
            return delivered + early * span, delivered + late * span
        opened = delivered + self.after(OPENED_WITHIN)
        return opened, opened + self.after(CLICKED_WITHIN)

    def after(self, mean: timedelta) -> timedelta:
        return mean * self.random.expovariate(1) / self.speed


def published_rates(age: timedelta) -> tuple[float, float]:
    """Shares opened and clicked: interpolated between published days, constant after the last."""
    days = age / timedelta(days=1)
    before = max((row for row in MAIL_READ if row[0] <= days), default=MAIL_READ[0])
    after = min((row for row in MAIL_READ if row[0] > days), default=before)
    share = (days - before[0]) / (after[0] - before[0]) if after != before else 0.0
    share = max(share, 0.0)
    return (
        before[1] + share * (after[1] - before[1]),
        before[2] + share * (after[2] - before[2]),
    )
