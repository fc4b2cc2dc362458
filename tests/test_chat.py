"""Whop's support chat: the way to members whose address nobody knows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import httpx
import pytest
from whop_sdk import Whop, WhopEnvironment

from daemon.chat import SupportChat
from db.company_settings.messaging import MessagingSettings
from db.models import Sync
from db.session import SessionFactory
from mail.markdown import WORD_JOINER
from mail.messages import write_chat
from mail.samples import DESTINATION, make_sample
from recovery.declines import DeclineClass
from recovery.delivery import DeliveryState
from recovery.status import Step
from sandbox.servers.chat_page import show_markdown, support_page
from sandbox.servers.support import Support
from sandbox.servers.transport import InProcess
from sandbox.world.world import World
from tests.factories import COMPANY
from tests.rig import Rig

pytestmark = pytest.mark.slow

WORDS = "Your payment of **$49.00** did not go through.\n\n[Update](https://whop.com/billing/x)"
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def rig(sessions: SessionFactory, tmp_path) -> Rig:
    return Rig(sessions, tmp_path)


@pytest.fixture
def chat(rig: Rig) -> SupportChat:
    return SupportChat(rig.cycle.retrier.whop)


def find_user(rig: Rig, payment_id: str) -> str:
    user_id = rig.payment(payment_id).user_id
    assert user_id is not None
    return user_id


def contents(rig: Rig) -> list[list[str]]:
    return [[content for _, content in chat.messages] for chat in Support(rig.world).chats()]


def test_a_message_arrives_in_the_members_own_chat(rig: Rig, chat: SupportChat):
    first, second = (find_user(rig, rig.fail()) for _ in range(2))
    sent = [chat.send(COMPANY, first, WORDS), chat.send(COMPANY, second, "Hello")]
    assert contents(rig) == [["Hello"], [WORDS]]
    assert [delivery.state for delivery in sent] == ["sent", "sent"]
    assert len({delivery.provider_id for delivery in sent} - {None}) == 2


def test_the_second_message_goes_into_the_same_chat(rig: Rig, chat: SupportChat):
    user_id = find_user(rig, rig.fail())
    for word in ("one", "two"):
        chat.send(COMPANY, user_id, word)
    assert contents(rig) == [["one", "two"]]


@pytest.mark.parametrize(
    ("operation", "kind", "status", "state", "arrived"),
    [
        ("support_channels.create", "timeout_after", 0, DeliveryState.PUT_OFF, False),
        ("support_channels.create", "500_after", 0, DeliveryState.PUT_OFF, False),
        ("support_channels.create", "status", 429, DeliveryState.PUT_OFF, False),
        ("support_channels.create", "status", 400, DeliveryState.ADDRESS_REFUSED, False),
        ("support_channels.create", "status", 401, DeliveryState.ACCOUNT_REFUSED, False),
        ("support_channels.create", "status", 402, DeliveryState.ACCOUNT_REFUSED, False),
        ("support_channels.create", "status", 403, DeliveryState.ACCOUNT_REFUSED, False),
        ("support_channels.create", "status", 404, DeliveryState.ADDRESS_REFUSED, False),
        ("support_channels.create", "status", 408, DeliveryState.PUT_OFF, False),
        ("support_channels.create", "status", 409, DeliveryState.ADDRESS_REFUSED, False),
        ("support_channels.create", "status", 410, DeliveryState.ADDRESS_REFUSED, False),
        ("support_channels.create", "status", 422, DeliveryState.ADDRESS_REFUSED, False),
        ("support_channels.create", "status", 502, DeliveryState.PUT_OFF, False),
        ("messages.create", "status", 429, DeliveryState.PUT_OFF, False),
        ("messages.create", "status", 400, DeliveryState.REFUSED, False),
        ("messages.create", "status", 401, DeliveryState.ACCOUNT_REFUSED, False),
        ("messages.create", "status", 402, DeliveryState.ACCOUNT_REFUSED, False),
        ("messages.create", "status", 403, DeliveryState.ACCOUNT_REFUSED, False),
        ("messages.create", "status", 404, DeliveryState.ADDRESS_REFUSED, False),
        ("messages.create", "status", 408, DeliveryState.UNKNOWN, False),
        ("messages.create", "status", 409, DeliveryState.ADDRESS_REFUSED, False),
        ("messages.create", "status", 410, DeliveryState.ADDRESS_REFUSED, False),
        ("messages.create", "status", 413, DeliveryState.REFUSED, False),
        ("messages.create", "status", 422, DeliveryState.REFUSED, False),
        ("messages.create", "status", 502, DeliveryState.UNKNOWN, False),
        ("messages.create", "status", 503, DeliveryState.UNKNOWN, False),
        ("messages.create", "refused", 0, DeliveryState.UNKNOWN, False),
        ("messages.create", "timeout_before", 0, DeliveryState.UNKNOWN, False),
        ("messages.create", "timeout_after", 0, DeliveryState.UNKNOWN, True),
        ("messages.create", "500_after", 0, DeliveryState.UNKNOWN, True),
    ],
)
def test_it_is_certain_only_where_whop_is(
    rig: Rig, chat: SupportChat, operation, kind, status, state, arrived
):
    user_id = find_user(rig, rig.fail())
    rig.world.faults.add(operation, kind, status=status)
    assert chat.send(COMPANY, user_id, WORDS).state is state
    assert contents(rig) == ([[WORDS]] if arrived else [])


def test_no_message_leaves_twice_by_itself(rig: Rig, chat: SupportChat):
    user_id = find_user(rig, rig.fail())
    rig.world.faults.add("messages.create", "timeout_after", times=None)
    assert chat.send(COMPANY, user_id, WORDS).state is DeliveryState.UNKNOWN
    assert contents(rig) == [[WORDS]]


def test_while_whop_is_down_nothing_is_uncertain(rig: Rig, chat: SupportChat):
    user_id = find_user(rig, rig.fail())
    rig.world.faults.add("*", "status", status=503, times=None)
    for _ in range(6):
        assert chat.send(COMPANY, user_id, WORDS).state is DeliveryState.PUT_OFF
    assert rig.cycle.retrier.whop.circuit.is_open()


@pytest.mark.parametrize("permission", ["support_chat:create", "support_chat:message:create"])
def test_a_missing_permission_holds_the_message_up_and_shows_in_the_sync(
    rig: Rig, chat: SupportChat, permission
):
    user_id = find_user(rig, rig.fail())
    rig.world.switches.denied_permissions = (permission,)
    delivery = chat.send(COMPANY, user_id, WORDS)
    assert delivery.state is DeliveryState.ACCOUNT_REFUSED
    assert permission in (delivery.detail or "")
    rig.reconciler.run()
    with rig.sessions() as session:
        assert session.get_one(Sync, COMPANY).missing_permissions == [permission]


def test_an_unknown_member_cannot_be_written_to(chat: SupportChat):
    delivery = chat.send(COMPANY, "user_nobody", WORDS)
    assert delivery.state is DeliveryState.ADDRESS_REFUSED
    assert "404" in (delivery.detail or "")


def test_members_who_read_the_chat_may_pay(rig: Rig, chat: SupportChat):
    """Without the chat only Whop's own tries pay; so many members show the difference."""
    rig.world.switches.whop_attempts_after_hours = ()
    rig.use(policy="smart", max_retries=0)
    paid = {}
    for written in (False, True):
        failed = [
            rig.world.fail_renewal(rig.clock.now, decline_code="expired_card") for _ in range(80)
        ]
        for payment_id in failed if written else ():
            chat.send(COMPANY, find_user(rig, payment_id), WORDS)
        rig.pass_time(110)
        outcomes = [rig.world.store.payment(payment_id).status for payment_id in failed]
        paid[written] = outcomes.count("paid")
    assert paid[True] > paid[False]


def test_the_page_shows_what_the_member_sees_and_executes_nothing(rig: Rig, chat: SupportChat):
    user_id = find_user(rig, rig.fail(name="<script>alert(1)</script>"))
    chat.send(COMPANY, user_id, WORDS + '\n\n<img src=x onerror="alert(1)">')
    shown = support_page(Support(rig.world).chats())
    assert "<strong>$49.00</strong>" in shown
    assert '<a href="https://whop.com/billing/x">Update</a>' in shown
    assert "<script" not in shown
    assert "<img" not in shown


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (r"\*\*no\*\* \<b\>", "<p>**no** &lt;b&gt;</p>"),
        ("[x](javascript:alert)", "<p>[x](javascript:alert)</p>"),
        ('[x](https://a.b/"onclick="1)', '<a href="https://a.b/&#34;onclick=&#34;1">x</a>'),
        ("https://a.b/?c=1&d=2", '<a href="https://a.b/?c=1&amp;d=2">'),
        ("one\ntwo", "<p>one<br>two</p>"),
    ],
)
def test_markdown_is_shown_and_nothing_else(content, shown):
    assert shown in show_markdown(content)


NAMED = "R&D @all *P* _a_ [x](https://evil.example) <b> #1 `c` ~d~ {e}|! 2+2-1. g.example"


class Reader(HTMLParser):
    """What stands on a page, and where it leads."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.links = "", list[str]()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for name, value in attrs if name == "href" and value]


@pytest.mark.parametrize("step", list(Step))
def test_the_support_page_shows_our_message_as_the_member_reads_it(
    rig: Rig, chat: SupportChat, step: Step
):
    context = replace(make_sample(step, DeclineClass.CARD, others=1), product=NAMED)
    messaging = MessagingSettings(sender_name=NAMED, note=NAMED)
    chat.send(COMPANY, find_user(rig, rig.fail()), write_chat(context, DESTINATION, messaging))
    reader = Reader()
    reader.feed(str(support_page(Support(rig.world).chats())))
    read = reader.text.replace(WORD_JOINER, "")
    assert f"{NAMED} is writing to you about {NAMED}." in read
    assert f"Membership: {NAMED}" in read
    assert f"{NAMED}Questions?" in read  # the note
    assert "\\" not in read
    assert reader.links == [DESTINATION.manage_url]


def test_the_official_sdk_reads_both_answers():
    world = World()
    world.fail_renewal(NOON, name="Jo Doe")
    (document,) = world.store.row("select document from memberships")
    user_id = world.store.row("select json_extract(?, '$.user_id')", document)[0]
    whop = Whop(
        token="apik_sandbox",
        environment=WhopEnvironment(
            api="https://whop.test/api/v1", vault="https://vault.test/api/v1"
        ),
        httpx_client=httpx.Client(transport=InProcess(world, lambda: NOON)),
        max_retries=0,
    )
    channel = whop.support_channels.create(account_id="biz_demo", user_id=user_id)
    again = whop.support_channels.create(account_id="biz_demo", user_id=user_id)
    assert channel.id == again.id
    assert channel.customer_user is not None
    assert channel.customer_user.name == "Jo Doe"
    message = whop.messages.create(channel_id=channel.id, content="Hello **you**")
    assert (message.content, message.created_at) == ("Hello **you**", NOON)
    assert message.user.name == world.company.title
