"""Delivers emails to simulated readers, and keeps SendGrid's suppression lists."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

from sandbox.model.mail_readers import Reader, ReaderEvent
from sandbox.model.times import sortable
from sandbox.servers.mails import Mail
from sandbox.state.store import Missing
from sandbox.world.world import World

# Suppression lists, with SendGrid's reason for dropping an email to an address on them.
LISTS = {"bounces": "Bounced Address", "spam_reports": "Spam Reporting Address"}
ENDS = {"bounce": "bounces", "spamreport": "spam_reports"}


class Carrier:
    def __init__(self, world: World) -> None:
        self.world = world

    def deliver(self, mail: Mail, number: int, now: datetime) -> None:
        """Delivers the email, which may make its reader pay, unless it bounces or is dropped."""
        world = self.world
        if world.deliver_mail_events is None:
            self.arrive(mail, now)
            return
        for address in mail.recipients:
            random = Random(f"{world.seed}/reader/{number}/{address}")
            events = list(self.draw_events(mail, address, random, now))
            for event in events:
                # Only a bounce for good puts its address on the list.
                name = ENDS.get(event.event)
                if name is not None and event.more.get("type", "bounce") == "bounce":
                    self.add_to_list(address, name, event)
            as_text = world.switches.mail_times == "text"
            world.mail_events.plan(mail.id, common(mail, address), events, as_text)

    def draw_events(
        self, mail: Mail, address: str, random: Random, now: datetime
    ) -> Iterator[ReaderEvent]:
        world = self.world
        listed = world.store.row(
            "select list from suppressed where address = ? and at <= ?",
            address.lower(),
            sortable(now),
        )
        if listed:
            yield ReaderEvent("dropped", now, {"reason": LISTS[listed[0]]})
            return
        reader = Reader(random, world.pace.member_speed, timedelta())
        # Whether an address is dead depends on the address alone.
        if Random(f"{world.seed}/address/{address}").random() < world.switches.mail_bounce_share:
            yield from (strip(mail, event, world) for event in reader.bounce(now))
            return
        pays_at = self.arrive(mail, now)
        with suppress(Missing):
            payment = world.store.payment(mail.custom_args.get("payment_id", ""))
            reader = replace(reader, age=now - payment.created_at, pays_at=pays_at)
        yield from reader.receive(now, mail.link, world.assumed, world.switches)

    def arrive(self, mail: Mail, now: datetime) -> datetime | None:
        if payment_id := mail.custom_args.get("payment_id"):
            with suppress(Missing):
                return self.world.mail_arrives(payment_id, now)
        return None

    def add_to_list(self, address: str, name: str, event: ReaderEvent) -> None:
        self.world.store.rows(
            "insert into suppressed values (?, ?, ?, ?) on conflict do nothing",
            address.lower(),
            name,
            sortable(event.at),
            str(event.more.get("reason", "")),
        )

    def suppressed(self, name: str) -> list[dict[str, Any]]:
        found = self.world.store.rows(
            "select address, at, reason from suppressed where list = ? order by at, address", name
        )
        return [
            {
                "email": address,
                "created": int(datetime.fromisoformat(at).timestamp()),
                "reason": reason,
            }
            for address, at, reason in found
        ]


def strip(mail: Mail, event: ReaderEvent, world: World) -> ReaderEvent:
    """A bounce as the switches want it; a bare one lacks what was sent along."""
    if event.event != "bounce":
        return event
    more = event.more | {"type": world.switches.mail_bounce_type}
    if world.switches.mail_bounces_are_bare:
        more |= dict.fromkeys(mail.custom_args)
    return replace(event, more=more)


def common(mail: Mail, address: str) -> dict[str, Any]:
    """The fields that all events of an email have: its custom arguments and SendGrid's own."""
    return {
        **mail.custom_args,
        "email": address,
        "smtp-id": f"<{mail.id}@sandbox>",
        "category": mail.sent.get("categories", []),
    }
