"""What a delivery came to, and where that leaves its row: every state, on every way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from daemon.messages import MessageSender
from daemon.notices import CreatorNotifier
from db.company_settings.messaging import MessagingSettings, save_messaging_settings
from db.company_settings.notifications import NotificationSettings, save_notification_settings
from db.models import Message, Notice
from db.outboxes import INTERRUPTED, to_message_state
from db.session import SessionFactory
from recovery.delivery import (
    Delivery,
    DeliveryState,
    account_refused,
    address_refused,
    put_off,
    refused,
    sent,
    skipped,
    unknown,
)
from recovery.status import Channel
from tests.factories import COMPANY, NOW
from tests.rig import Rig

OUTCOMES = {
    DeliveryState.SENT: sent("id_1"),
    DeliveryState.REFUSED: refused("400"),
    DeliveryState.ADDRESS_REFUSED: address_refused("400"),
    DeliveryState.ACCOUNT_REFUSED: account_refused("401"),
    DeliveryState.PUT_OFF: put_off("429"),
    DeliveryState.UNKNOWN: unknown("no answer"),
    DeliveryState.SKIPPED: skipped("nothing to say"),
}
KEPT = {
    DeliveryState.SENT: "sent",
    DeliveryState.REFUSED: "failed",
    DeliveryState.ADDRESS_REFUSED: "failed",
    DeliveryState.ACCOUNT_REFUSED: "queued",
    DeliveryState.PUT_OFF: "queued",
    DeliveryState.UNKNOWN: "unknown",
    DeliveryState.SKIPPED: "skipped",
}
# Only what was surely not taken, and may be taken later, is sent again.
AGAIN = {DeliveryState.PUT_OFF, DeliveryState.ACCOUNT_REFUSED}
DISCORD = "http://localhost:9000/api/webhooks/1/a-token"
MONDAY = NOW + timedelta(days=3, hours=10)
EVERY_STATE = pytest.mark.parametrize("state", list(DeliveryState))


class Carrier:
    """Any of them: answers the same each time it is asked to carry something."""

    def __init__(self, answer: Delivery | None = None) -> None:
        self.answer = answer
        self.carried = 0

    def send(self, *arguments: Any, **more: Any) -> Delivery:
        self.carried += 1
        if self.answer is None:
            raise RuntimeError("a surprise")
        return self.answer


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    rig = Rig(sessions, tmp_path)
    rig.world.switches.whop_attempts_after_hours = ()
    return rig


# --- the ways out --------------------------------------------------------------------------------


def write_to_members(rig: Rig, carrier: Carrier, channel: Channel) -> Callable[[], object]:
    with rig.sessions.begin() as session:
        messaging = MessagingSettings(quiet_from=0, quiet_until=0, channel=channel)
        save_messaging_settings(session, COMPANY, messaging, "somebody", rig.clock.now)
    rig.fail("expired_card", "paid")
    return MessageSender(
        rig.sessions, rig.message_sender.whop, carrier, rig.clock, carrier
    ).send_due


def mail(rig: Rig, carrier: Carrier) -> Callable[[], object]:
    return write_to_members(rig, carrier, Channel.EMAIL)


def chat(rig: Rig, carrier: Carrier) -> Callable[[], object]:
    return write_to_members(rig, carrier, Channel.WHOP)


def post(rig: Rig, carrier: Carrier) -> Callable[[], object]:
    with rig.sessions.begin() as session:
        notifications = NotificationSettings(post_url=DISCORD, on_recovery=True)
        save_notification_settings(
            session, COMPANY, notifications, "somebody", rig.clock.now, in_development=True
        )
    rig.fail("insufficient_funds", "paid")
    rig.run(1)
    return CreatorNotifier(rig.sessions, None, carrier, rig.clock).notify_due


def digest(rig: Rig, carrier: Carrier) -> Callable[[], object]:
    with rig.sessions.begin() as session:
        save_notification_settings(
            session,
            COMPANY,
            NotificationSettings(digest=True, digest_to="me@example.com"),
            "somebody",
            NOW,
        )
    rig.fail("expired_card")
    rig.clock.now = MONDAY
    return CreatorNotifier(rig.sessions, carrier, Carrier(), rig.clock).notify_due


EVERY_WAY = pytest.mark.parametrize(
    ("way", "model"), [(mail, Message), (chat, Message), (post, Notice), (digest, Notice)]
)


def read(rig: Rig, model: Any) -> Any:
    with rig.sessions() as session:
        return session.scalars(select(model)).one()


# --- where it leaves the row ---------------------------------------------------------------------


@EVERY_WAY
@EVERY_STATE
def test_every_outcome_is_kept_as_what_it_is(rig: Rig, way, model, state):
    send = way(rig, Carrier(OUTCOMES[state]))
    send()
    row = read(rig, model)
    assert (row.state, row.detail) == (KEPT[state], OUTCOMES[state].detail)
    assert row.sent_at == (rig.clock.now if state is DeliveryState.SENT else None)


@EVERY_WAY
@EVERY_STATE
def test_only_what_was_put_off_is_sent_again(rig: Rig, way, model, state):
    carrier = Carrier(OUTCOMES[state])
    send = way(rig, carrier)
    send()
    rig.clock.now += timedelta(minutes=11)
    send()
    # A message to a member has another channel, by which nothing has left.
    falls_back = state is DeliveryState.ADDRESS_REFUSED and model is Message
    assert carrier.carried == (2 if state in AGAIN or falls_back else 1)
    assert read(rig, model).state == KEPT[state]


@EVERY_WAY
def test_a_surprise_while_it_leaves_is_an_unknown_end(rig: Rig, way, model):
    """No answer, and it was about to leave: it is never sent again."""
    carrier = Carrier()
    send = way(rig, carrier)
    send()
    assert read(rig, model).state == "sending"
    rig.clock.now += INTERRUPTED + timedelta(seconds=1)
    send()
    assert carrier.carried == 1
    row = read(rig, model)
    assert (row.state, row.detail) == ("unknown", "interrupted while sending")


def test_every_state_has_a_place_in_the_database():
    assert {state: to_message_state(state).value for state in DeliveryState} == KEPT


def test_what_is_put_off_past_the_window_has_failed(rig: Rig):
    send = write_to_members(rig, Carrier(put_off("429", timedelta(days=6))), Channel.EMAIL)
    send()
    message = read(rig, Message)
    assert (message.state, message.detail) == ("failed", "429; then the deadline passed")
