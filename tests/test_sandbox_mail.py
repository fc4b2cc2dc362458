"""The simulated SendGrid: what becomes of a mail, and who hears of it."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dotenv import dotenv_values
from sendgrid.helpers.eventwebhook import EventWebhook

from db.session import SessionFactory
from sandbox.model.levels import LEVELS, MIDDLE
from sandbox.model.mail_readers import Reader, published_rates
from sandbox.model.switches import Switches
from sandbox.servers.mail_page import mails_page
from sandbox.servers.mails import Mail
from sandbox.servers.sendgrid import SendGrid
from sandbox.state.store import Store
from sandbox.wire.mail_events import MailEvent
from sandbox.wire.mail_signing import SENDGRID_KEY, Signer
from sandbox.world.world import World
from tests.rig import Rig
from tests.stage import DAY, HOUR, NOON, Stage

pytestmark = pytest.mark.slow

MAIL: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "jo@example.com"}]}],
    "from": {"email": "billing@example.com", "name": "Lantern Academy"},
    "subject": "Your payment did not go through",
    "content": [
        {"type": "text/plain", "value": "Please look."},
        {"type": "text/html", "value": '<a href="https://whop.com/x?a=1&amp;b=2">Look</a>'},
    ],
    "categories": ["failed-payment"],
}
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"


class MailStage(Stage):
    """A stage whose receiver also hears of mails, and can refuse."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.batches: list[tuple[dict[str, str], bytes]] = []
        self.mail_receiver_says = 200
        self.world.deliver_mail_events = self.hear

    def hear(self, headers: dict[str, str], body: bytes) -> int:
        self.batches.append((headers, body))
        return self.mail_receiver_says

    def write(self, payment_id: str, address: str = "jo@example.com", **more: Any) -> str:
        """Sends a mail about a payment; answers its id."""
        to = {"personalizations": [{"to": [{"email": address}]}]}
        arguments = {"custom_args": {"payment_id": payment_id, "message_id": "7"}}
        answer = self.mail.post("/v3/mail/send", json=MAIL | to | arguments | more)
        assert answer.status_code == 202
        return str(answer.headers["x-message-id"])

    @property
    def told(self) -> list[dict[str, Any]]:
        return [event for _, body in self.batches for event in json.loads(body)]

    def story(self) -> list[str]:
        """Every event once, in the order in which it happened."""
        once = {event["sg_event_id"]: event for event in self.told}
        return [event["event"] for event in sorted(once.values(), key=lambda e: e["timestamp"])]


@pytest.fixture
def stage() -> MailStage:
    return MailStage(switches=Switches(mail_bounce_share=0, mail_spam_share=0))


def test_what_becomes_of_a_mail_is_told_with_its_arguments(stage: MailStage):
    payment_id = stage.failed()
    mail_id = stage.write(payment_id)
    stage.later(HOUR / 60)
    assert stage.story()[:2] == ["processed", "delivered"]
    for event in stage.told:
        assert event["payment_id"] == payment_id
        assert event["message_id"] == "7"
        assert event["category"] == ["failed-payment"]
        assert event["sg_message_id"].startswith(mail_id)
        assert event["email"] == "jo@example.com"


def test_the_events_are_signed_as_the_official_helper_expects(stage: MailStage):
    for number in range(20):
        stage.write(stage.failed(), f"jo{number}@example.com")
        stage.later(HOUR)
    helper = EventWebhook(Signer(SENDGRID_KEY).public_key)
    stranger = EventWebhook(Signer("SG.other").public_key)
    assert len(stage.batches) > 20
    for headers, body in stage.batches:
        given = body.decode(), headers[SIGNATURE], headers[TIMESTAMP]
        assert helper.verify_signature(*given)
        assert not stranger.verify_signature(*given)


def test_the_demo_holds_the_public_half_of_the_key():
    example = dotenv_values(Path(__file__).parent.parent / ".env.example")
    signer = Signer(str(example["SENDGRID_API_KEY"]))
    assert example["SENDGRID_WEBHOOK_KEY"] == signer.public_key


def test_the_public_key_is_shown_where_sendgrid_shows_it(stage: MailStage):
    answer = stage.mail.get("/v3/user/webhooks/event/settings/signed")
    assert answer.json() == {"public_key": stage.world.mail_signer.public_key}


def test_a_batch_that_was_refused_comes_again(stage: MailStage):
    stage.mail_receiver_says = 503
    stage.write(stage.failed())
    stage.later(timedelta(seconds=30))
    (first,) = {body for _, body in stage.batches}
    stage.mail_receiver_says = 200
    stage.later(2 * HOUR)
    assert [body for _, body in stage.batches].count(first) == 2


def test_some_events_are_told_twice(stage: MailStage):
    for number in range(150):
        stage.write(stage.failed(), f"jo{number}@example.com")
        stage.later(HOUR)
    often = Counter(event["sg_event_id"] for event in stage.told)
    twice = sum(times > 1 for times in often.values())
    assert 0 < twice < len(often) / 5
    assert all(len(json.loads(body)) <= 1000 for _, body in stage.batches)


def test_a_dead_address_bounces_once_and_is_dropped_from_then_on(stage: MailStage):
    stage.switches.mail_bounce_share = 1.0
    payment_id = stage.failed()
    stage.write(payment_id, "Dead@example.com")
    stage.later(HOUR)
    stage.write(payment_id, "dead@example.com")
    stage.later(HOUR)
    assert stage.story() == ["processed", "bounce", "dropped"]
    (bounce,) = {e["sg_event_id"]: e for e in stage.told if e["event"] == "bounce"}.values()
    assert (bounce["type"], bounce["status"]) == ("bounce", "5.1.1")
    dropped = next(event for event in stage.told if event["event"] == "dropped")
    assert dropped["reason"] == "Bounced Address"
    (listed,) = stage.mail.get("/v3/suppression/bounces").json()
    assert listed["email"] == "dead@example.com"
    assert "does not exist" in listed["reason"]


def test_who_called_a_mail_spam_gets_no_more(stage: MailStage):
    stage.switches.mail_spam_share = 1.0
    payment_id = stage.failed()
    stage.write(payment_id)
    stage.later(3 * DAY)
    stage.write(payment_id)
    stage.later(HOUR)
    assert stage.story().count("spamreport") == 1
    assert stage.told[-1]["event"] == "dropped"
    assert stage.told[-1]["reason"] == "Spam Reporting Address"


def test_a_mail_that_never_arrives_moves_nobody(stage: MailStage):
    stage.switches.mail_bounce_share = 1.0
    stage.switches.whop_attempts_after_hours = ()

    def paid(mails: bool) -> int:
        theatre = MailStage(switches=stage.switches)
        for number in range(60):
            payment_id = theatre.world.fail_renewal(theatre.now, decline_code="expired_card")
            if mails:
                theatre.write(payment_id, f"jo{number}@example.com")
        theatre.later(5 * DAY)
        return sum(charge.by == "member" for charge in theatre.world.ledger.charges())

    assert paid(mails=True) == paid(mails=False)


def test_watching_who_reads_moves_nobody_to_pay_who_would_not():
    """The study's calibration holds whether or not somebody hears of the mails."""

    def payers(listening: bool) -> list[tuple[str, datetime]]:
        quiet = Switches(mail_bounce_share=0, mail_spam_share=0, whop_attempts_after_hours=())
        theatre = MailStage(switches=quiet)
        if not listening:
            theatre.world.deliver_mail_events = None
        for number in range(120):
            payment_id = theatre.world.fail_renewal(theatre.now, decline_code="expired_card")
            theatre.write(payment_id, f"jo{number}@example.com")
        theatre.later(5 * DAY)
        charges = theatre.world.ledger.charges()
        return [(charge.payment_id, charge.at) for charge in charges if charge.by == "member"]

    assert payers(listening=True) == payers(listening=False)
    assert payers(listening=True)


def test_who_pays_because_of_a_mail_has_opened_it_and_clicked_first():
    for number in range(300):
        random = Random(number)
        pays_at = NOON + timedelta(hours=random.expovariate(1))
        reader = Reader(random, 1.0, timedelta(), pays_at)
        happenings = list(reader.receive(NOON, "https://x", MIDDLE, Switches(mail_spam_share=1)))
        assert [h.event for h in happenings] == ["processed", "delivered", "open", "click"]
        times = [h.at for h in happenings]
        assert times == sorted(times)
        assert times[-1] <= max(pays_at, times[1])


@pytest.mark.parametrize("level", LEVELS.values(), ids=LEVELS.keys())
@pytest.mark.parametrize(
    ("days", "open_rate", "click_rate"),
    [(0, 0.4129, 0.1121), (3, 0.341, 0.0764), (7, 0.327, 0.0672), (30, 0.2683, 0.0393)],
)
def test_mails_are_opened_and_clicked_as_often_as_published(level, days, open_rate, click_rate):
    """With as many moved to pay as the level says, up to what is published."""
    moved = min(level.moved_by_mail, click_rate)
    events: Counter[str] = Counter()
    number = 8000
    for luck in range(number):
        random = Random(f"{days}/{luck}")
        pays_at = NOON + HOUR if random.random() < moved else None
        reader = Reader(random, 1.0, timedelta(days=days), pays_at)
        for happening in reader.receive(NOON, "https://x", level, Switches()):
            events[happening.event] += 1
    assert events["delivered"] == number
    assert events["open"] / number == pytest.approx(open_rate, abs=0.02)
    assert events["click"] / number == pytest.approx(click_rate, abs=0.02)


@pytest.mark.parametrize(
    ("days", "rates"),
    [(-1, (0.4129, 0.1121)), (1.5, (0.37695, 0.09425)), (90, (0.2683, 0.0393))],
)
def test_between_the_published_days_the_rates_are_in_between(days, rates):
    assert published_rates(timedelta(days=days)) == pytest.approx(rates)


def test_the_same_seed_tells_the_same_story(tmp_path: Path):
    def tell(seed: int) -> list[bytes]:
        told: list[bytes] = []

        def hear(headers: dict[str, str], body: bytes) -> int:
            told.append(headers[SIGNATURE].encode() + body)
            return 200

        world = World(Store(), seed=seed, deliver=lambda h, b: 200, deliver_mail_events=hear)
        sendgrid = SendGrid(world)
        theatre = MailStage()
        theatre.world = world
        for number in range(12):
            at = NOON + number * HOUR
            payment_id = world.fail_renewal(at)
            body = json.dumps(MAIL | {"custom_args": {"payment_id": payment_id}}).encode()
            assert sendgrid.take(body, at).status == 202
            world.advance(at)
        world.advance(NOON + 5 * DAY)
        return told

    assert tell(3) == tell(3)
    assert tell(3) != tell(4)


def test_in_sandbox_mode_a_mail_is_checked_and_not_sent(stage: MailStage):
    checked = MAIL | {"mail_settings": {"sandbox_mode": {"enable": True}}}
    assert stage.mail.post("/v3/mail/send", json=checked).status_code == 200
    assert stage.mail.post("/v3/mail/send", json=checked | {"subject": ""}).status_code == 400
    assert SendGrid(stage.world).mails() == []
    stage.later(DAY)
    assert stage.told == []


# The page.


def make_mail(**sent: Any) -> Mail:
    return Mail("mail_1", NOON, MAIL | sent)


def test_the_page_shows_each_mail_in_a_frame_that_can_do_nothing():
    hostile = '"></iframe><script>steal()</script>'
    mail = make_mail(
        subject=f"Pay {hostile}",
        content=[{"type": "text/html", "value": hostile}, {"type": "text/plain", "value": hostile}],
        custom_args={"payment_id": hostile},
    )
    told = {"event": "bounce", "reason": hostile}
    page = mails_page([(mail, [MailEvent(NOON, told)])])
    assert page.count("<iframe") == page.count('<iframe sandbox=""') == 1
    assert "<script" not in page
    assert "bounce at 2026-11-20T12:00:00.000Z" in page
    assert "width: 390px" in page


@pytest.mark.parametrize(
    ("header", "shown"),
    [
        ("<https://receiver.example.com/unsubscribe/1.7.x>", True),
        ("<javascript:alert(1)>", False),
        ("", False),
    ],
)
def test_the_page_offers_the_way_out_that_a_mail_program_would(header, shown):
    page = mails_page([(make_mail(headers={"List-Unsubscribe": header}), [])])
    assert (">Unsubscribe</a>" in page) is shown
    assert "javascript:" not in page


def test_the_page_tells_only_what_has_happened_by_now(stage: MailStage):
    mail_id = stage.write(stage.failed())
    assert stage.world.mail_events.of(mail_id, stage.now) == []
    stage.later(HOUR / 30)
    told = stage.world.mail_events.of(mail_id, stage.now)
    assert [event.name for event in told][:2] == ["processed", "delivered"]


# Through the real code.


def test_what_simulated_readers_do_lands_on_the_message(sessions: SessionFactory, tmp_path: Path):
    rig = Rig(sessions, tmp_path)
    rig.hear_of_mails()
    rig.world.switches.mail_bounce_share = rig.world.switches.mail_spam_share = 0
    payment_ids = [
        rig.fail("expired_card", email=f"jo{number}@example.com") for number in range(25)
    ]
    rig.message_sender.send_due()
    rig.pass_time(48)
    messages = [message for one in payment_ids for message in rig.messages(one)]
    sent = [message for message in messages if message.sent_at]
    assert sent
    assert all(message.delivered_at for message in sent)
    opened = [message for message in sent if message.opened_at]
    assert 0 < len(opened) < len(sent)
    assert all(m.opened_at and m.opened_at > m.delivered_at for m in opened if m.delivered_at)
