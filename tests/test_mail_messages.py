"""What a message says: the right words for each decline, and nobody else's words taken for ours."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from db.company_settings.messaging import MessagingSettings
from db.member_messages.message_context import MessageContext, OpenAmount
from mail.colours import choose_edge, choose_ink, contrast
from mail.context import MOST_OTHERS, Destination, format_time
from mail.messages import OURS, write, write_chat
from mail.samples import DESTINATION, FAILED_AT, UNSUBSCRIBE_URL, make_sample
from recovery.action_required import ONLY_THE_MEMBER
from recovery.decline_codes import CODES
from recovery.declines import DeclineClass
from recovery.status import Step
from recovery.wording import format_money

CONFIRM = "https://whop.com/payments/pay_Sample/confirm/"
FIRST_LINE = "Northside Run Club is writing to you about Marathon Training Pro."
FAILED = Step.PAYMENT_FAILED
HOUR = timedelta(hours=1)


def funds(step: Step = FAILED, **overrides) -> MessageContext:
    return replace(make_sample(step, DeclineClass.FUNDS), **overrides)


@pytest.mark.parametrize("decline_class", DeclineClass)
@pytest.mark.parametrize("step", Step)
def test_every_message_says_who_writes_what_it_is_about_and_where_to_go(step, decline_class):
    context = make_sample(step, decline_class)
    written = write(context, DESTINATION)
    chat = write_chat(context, DESTINATION)
    assert written.text.startswith(FIRST_LINE)
    assert chat.startswith(FIRST_LINE)
    link = CONFIRM if decline_class is DeclineClass.AUTHENTICATION else DESTINATION.manage_url
    for words in (written.text, written.html, chat):
        assert "$49.00" in words
        assert "Marathon Training Pro" in words
        assert "None" not in words
        assert words.count(link) == 1
    if context.card_last4:
        assert "Visa ending in 4242" in written.text


@pytest.mark.parametrize("step", Step)
def test_the_member_never_reads_that_a_card_is_thought_lost_stolen_or_abused(step):
    for code in CODES[DeclineClass.FRAUD]:
        context = replace(make_sample(step, DeclineClass.FRAUD), decline_code=code)
        written = write(context, DESTINATION)
        said = (
            written.subject + written.text + written.html + write_chat(context, DESTINATION)
        ).lower()
        for word in ("stolen", "lost", "fraud", "suspic", "risk", "blocked", "blacklist"):
            assert word not in said


def test_subjects_describe_the_thing():
    subjects = {step: write(funds(step), DESTINATION).subject for step in Step}
    assert subjects == {
        Step.PAYMENT_FAILED: "Your payment for Marathon Training Pro didn't go through",
        Step.REMINDER: "Still open: your payment for Marathon Training Pro",
        Step.LAST_DAY: "One day left to keep Marathon Training Pro",
        Step.NOTICE: "Your payment for Marathon Training Pro did not go through",
    }


def test_the_last_day_tells_the_exact_end_in_the_company_s_time_zone():
    ends = "Wednesday, November 25 at 10:15 (Berlin time)"
    written = write(funds(Step.LAST_DAY), DESTINATION)
    assert f"so Marathon Training Pro ends on {ends}." in written.text
    assert ends in written.html


def test_only_a_card_that_is_of_no_more_use_is_to_be_updated_at_once():
    subjects = {
        decline_class: write(make_sample(FAILED, decline_class), DESTINATION).subject
        for decline_class in DeclineClass
    }
    asked = "Your payment failed — click here to update your card"
    assert subjects.pop(DeclineClass.CARD) == asked
    assert set(subjects.values()) == {"Your payment for Marathon Training Pro didn't go through"}


def test_a_creator_s_own_subject_stays_and_ours_goes_with_their_own_text():
    card = make_sample(FAILED, DeclineClass.CARD)
    ours = replace(OURS[FAILED], text="Hi {{ name }}")
    assert write(card, DESTINATION, template=ours).subject.startswith("Your payment failed")
    own = replace(ours, subject="Hello")
    assert write(card, DESTINATION, template=own).subject == "Hello"


def test_a_planned_retry_is_told_with_its_day_as_no_member_has_to_be_there():
    written = write(funds(), DESTINATION)
    assert "We will try again on Saturday, November 21." in written.text
    assert "- Next try: Saturday, November 21\n" in written.text
    assert "try again" not in write(make_sample(FAILED, DeclineClass.CARD), DESTINATION).text


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("decline_class", sorted(ONLY_THE_MEMBER))
def test_no_retry_is_promised_that_cannot_help(step: Step, decline_class: DeclineClass):
    """The hourly policy plans one all the same."""
    planned = replace(make_sample(step, decline_class), next_retry_at=FAILED_AT + HOUR)
    written = write(planned, DESTINATION)
    for words in (written.text, written.html, write_chat(planned, DESTINATION)):
        assert "We will try" not in words
        assert "Next try" not in words


@pytest.mark.parametrize(
    ("decline_class", "button"),
    [
        (DeclineClass.AUTHENTICATION, "Confirm the payment"),
        (DeclineClass.CARD, "Update your card"),
        (DeclineClass.CONSENT, "See your membership"),
        (DeclineClass.BANK_DEBIT, "Update how you pay"),
        (DeclineClass.FUNDS, "Update your card"),
    ],
)
def test_the_one_button_is_for_what_the_member_can_do(decline_class, button):
    written = write(make_sample(FAILED, decline_class), DESTINATION)
    assert f"{button}: https://whop.com/" in written.text
    assert written.html.count("<a ") == 1
    assert button in written.html


def test_without_a_page_for_confirming_the_button_leads_to_the_membership():
    context = replace(make_sample(FAILED, DeclineClass.AUTHENTICATION), recovery_url=None)
    assert f"Update your card: {DESTINATION.manage_url}" in write(context, DESTINATION).text


def test_other_open_payments_of_the_member_are_told_of_in_the_same_message():
    others = (
        OpenAmount("Recipe Vault", Decimal("900"), "jpy"),
        OpenAmount(None, Decimal("5"), "eur"),
    )
    context = funds(others=others)
    written = write(context, DESTINATION)
    for words in (written.text, written.html, write_chat(context, DESTINATION)):
        assert "Also open" in words
        assert "Recipe Vault: 900 JPY" in words
        assert "another payment: €5" in words
    many = write(funds(others=others * MOST_OTHERS), DESTINATION)
    assert many.text.count("JPY") + many.text.count("€") == MOST_OTHERS


def test_the_company_s_manners_show():
    messaging = MessagingSettings(
        sender_name="Maya", accent="#ffd400", note="See you in class,\nMaya & co"
    )
    written = write(funds(), DESTINATION, messaging)
    assert written.text.startswith("Maya is writing to you about Marathon Training Pro.")
    assert "See you in class,\nMaya & co\n" in written.text
    assert "Maya &amp; co" in written.html
    assert "background:#ffd400;color:#000000" in written.html


def test_a_reminder_can_be_unsubscribed_from():
    plain, offered = (
        write(funds(Step.REMINDER), DESTINATION, unsubscribe_url=url)
        for url in (None, UNSUBSCRIBE_URL)
    )
    assert f"No more reminders like this one: {UNSUBSCRIBE_URL}" in offered.text
    assert f'href="{UNSUBSCRIBE_URL}"' in offered.html
    assert "No more reminders" not in plain.text + plain.html


def test_a_message_about_which_little_is_known_reads_well():
    bare = funds(
        member_name=None, product=None, instrument_name=None, card_brand=None, card_last4=None
    )
    written = write(replace(bare, next_retry_at=None), Destination(DESTINATION.manage_url))
    assert written.text.startswith("This is about your membership.")
    assert "Hi there," in written.text
    assert "for your membership did not go through with your payment method." in written.text
    assert "Card:" not in written.text
    assert "Method:" not in written.text


# --- what was charged, and for what ------------------------------------------------------------

NO_CARDS = ("PayPal", "Klarna", "Cash App", "crypto wallet", "bank account", None)


def write_all(context: MessageContext) -> list[str]:
    """Everything that a member could read of it."""
    written = write(context, Destination(DESTINATION.manage_url))
    chat = write_chat(context, Destination(DESTINATION.manage_url))
    return [written.subject, written.text, re.sub("<[^>]+>", "", written.html), chat]


@pytest.mark.slow
@pytest.mark.parametrize("name", NO_CARDS)
@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("decline_class", DeclineClass)
def test_a_card_is_spoken_of_only_where_one_was_charged(name, step, decline_class):
    codes = [None, *CODES.get(decline_class, {})]
    for code in codes:
        paid_so = replace(
            make_sample(step, decline_class),
            decline_code=code,
            instrument_name=name,
            card_brand=None,
            card_last4=None,
        )
        assert [words for words in write_all(paid_so) if "card" in words.lower()] == []
        if name is not None:
            assert name in write(paid_so, DESTINATION).text


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("decline_class", DeclineClass)
def test_a_membership_is_spoken_of_only_where_there_is_one(step, decline_class):
    once = replace(make_sample(step, decline_class), membership_id=None, product=None)
    for words in write_all(once):
        assert "membership" not in words.replace(DESTINATION.manage_url, "").lower()
        assert "ends" not in words.lower().replace("ending", "").split()
        assert "Ends" not in words
        assert "to keep" not in words


def test_a_day_that_is_over_is_never_told():
    """The retry was due yesterday; the daemon was down."""
    late = funds(written_at=FAILED_AT + 60 * HOUR, next_retry_at=FAILED_AT + 30 * HOUR)
    assert "- Next try: Sunday, November 22\n" in write(late, DESTINATION).text


def test_a_mail_asks_no_other_machine_for_anything():
    html = write(funds(), DESTINATION, unsubscribe_url=UNSUBSCRIBE_URL).html
    for tag in ("<img", "<link", "<script", "url(", "@import", "src="):
        assert tag not in html


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        ("49", "usd", "$49.00"),
        ("1234.5", "eur", "€1,234.50"),
        ("1500", "jpy", "1,500 JPY"),
        ("1.5", "kwd", "1.500 KWD"),
        ("10", "chf", "10.00 CHF"),
    ],
)
def test_money_is_written_with_its_currency_and_its_decimals(amount, currency, shown):
    assert format_money(Decimal(amount), currency) == shown


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "Sunday, March 29 at 01:30 UTC"),
        ("America/New_York", "Saturday, March 28 at 21:30 (New York time)"),
        ("Europe/Berlin", "Sunday, March 29 at 03:30 (Berlin time)"),  # just after the change
        ("Asia/Kolkata", "Sunday, March 29 at 07:00 (Kolkata time)"),
    ],
)
def test_a_time_is_told_in_the_company_s_zone(zone, shown):
    assert format_time(datetime(2026, 3, 29, 1, 30, tzinfo=UTC), zone) == shown


def test_words_on_a_button_can_be_read_whatever_its_colour():
    for number in range(0, 0x1000000, 0x3333):
        accent = f"#{number:06x}"
        assert contrast(choose_ink(accent), accent) >= 4.5
    assert choose_ink("#1f5eff") == "#ffffff"
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


def test_a_button_in_the_colour_of_the_sheet_gets_an_edge():
    assert choose_edge("#ffffff") == choose_edge("#1c1c21") == "#8a8a94"
    assert choose_edge("#1f5eff") == "#1f5eff"


HOSTILE = (
    "<script>alert(1)</script>",
    "{{ 7*7 }}{% raw %}",
    "Pro\r\nBcc: all@example.com\r\n\r\nbody",
    "Pro\u2028Bcc: x\x85y\x00z",
    "\u202egnp.exe\u2066 \u200b\u200e\ufeff",
    "x" * 10_000,
    "\n" * 10_000,
    "[free](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example>",
    "@everyone see https://evil.example or www.evil.example, evil.example",
)
MAY_NOT_BE_SEEN = re.compile(
    "[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u200b\\u200e\\u2028\\u202e\\u2066\\ufeff]"
)


def hostile(words: str) -> MessageContext:
    return funds(
        Step.LAST_DAY,
        member_name=words,
        product=words,
        instrument_name=words,
        card_brand=words,
        card_last4=words,
        others=(OpenAmount(words, Decimal("9"), "eur"),),
    )


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_stay_one_line_of_sane_length(words):
    written = write(hostile(words), replace(DESTINATION, seller=words))
    assert len(written.subject) <= 150
    assert written.subject.splitlines() == [written.subject]
    chat = write_chat(hostile(words), replace(DESTINATION, seller=words))
    plain = write(funds(Step.LAST_DAY), DESTINATION)
    for said, usual in ((written.text, plain.text), (written.html, plain.html)):
        assert len(said) < len(usual) + 1500
        assert "\nBcc" not in said
        assert "7*7" in said or "7*7" not in words
    for said in (written.subject, written.text, written.html, chat):
        assert MAY_NOT_BE_SEEN.search(said) is None
    for tag in ("<script", "<https"):
        assert tag not in written.html


@pytest.mark.parametrize("words", HOSTILE)
def test_in_whops_chat_names_make_no_links_no_pictures_and_no_mentions(words):
    chat = write_chat(
        hostile(words), replace(DESTINATION, seller=words), MessagingSettings(note=words or None)
    )
    links = re.findall(r"(?<!\\)\]\(([^)]*)", chat)
    assert links == [DESTINATION.manage_url]
    unescaped = re.sub(r"\\(.)", "", chat.replace(f"]({DESTINATION.manage_url})", "]"))
    assert re.search(r"[<>!@`*_]|://", unescaped) is None
    readable = re.sub(r"\\(.)", r"\1", chat).replace(DESTINATION.manage_url, "")
    assert re.search(r"://|@\w|evil\.example|www\.\w", readable) is None


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ("Jo Doe", "Hi Jo,"),
        ("  ", "Hi there,"),
        ("\u200b\u202e", "Hi there,"),
        ("https://evil.example/win Jo", "Hi there,"),
        ("evil.example Jo", "Hi there,"),
        ("J.R. Ewing", "Hi J.R.,"),
        ("\u0645\u0631\u06cc\u0645", "Hi \u0645\u0631\u06cc\u0645,"),
        ("x" * 10_000, f"Hi {'x' * 39}…,"),
    ],
)
def test_a_member_is_greeted_by_a_first_name_that_is_one(name, greeting):
    assert f"\n\n{greeting}\n" in write(funds(member_name=name), DESTINATION).text


def test_a_link_cannot_end_the_place_it_stands_in():
    destination = replace(DESTINATION, manage_url="https://whop.com/a b\"><script>')(\n")
    written = write(funds(), destination)
    assert "https://whop.com/a%20b%22%3E%3Cscript%3E%27%29%28%0A\n" in written.text
    assert "<script" not in written.html
    assert "(https://whop.com/a%20b%22%3E%3Cscript%3E%27%29%28%0A)" in write_chat(
        funds(), destination
    )
