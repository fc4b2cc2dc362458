"""Every mail in a real browser: on a phone and wide, by day and night, and with hostile words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page

from db.company_settings.messaging import MessagingSettings
from db.company_settings.templates import OwnTemplate
from db.member_messages.message_context import OpenAmount
from mail.colours import VISIBLE, contrast
from mail.context import LONGEST_TITLE
from mail.messages import write
from mail.samples import DESTINATION, UNSUBSCRIBE_URL, make_sample
from recovery.declines import DeclineClass
from recovery.status import Step
from recovery.wording import make_plain
from tests import chromium

pytestmark = pytest.mark.browser

PICTURES = chromium.PICTURES / "messages"
WIDTHS = (390, 640)
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
NOTE = "See you at the Sunday long run,\nMaya"
MAILS = [
    *((Step.PAYMENT_FAILED, cls) for cls in ("card", "authentication", "funds", "unknown")),
    *((Step.REMINDER, cls) for cls in ("issuer", "authentication")),
    *((Step.LAST_DAY, cls) for cls in ("card", "funds")),
    *((Step.NOTICE, cls) for cls in ("fraud", "consent", "bank_debit")),
]
CONTRASTS = """() => {
    const parts = text => text.match(/[\\d.]+/g).map(Number);
    const light = rgb => {
        const [r, g, b] = rgb.slice(0, 3).map(c => c / 255)
            .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = e => {
        for (; e; e = e.parentElement) {
            const rgb = parts(getComputedStyle(e).backgroundColor);
            if (rgb.length < 4 || rgb[3] === 1) return rgb;
        }
        return [255, 255, 255];
    };
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const words = walker.currentNode.textContent.trim();
        if (!words) continue;
        const parent = walker.currentNode.parentElement;
        const [one, other] = [
            light(parts(getComputedStyle(parent).color)), light(ground(parent)),
        ].sort((a, b) => a - b);
        found.push([words.slice(0, 40), (other + 0.05) / (one + 0.05)]);
    }
    return found;
}"""


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens a mail; at the end the proof that it asked nobody for anything and ran nothing."""
    asked: list[str] = []
    pages: list[Page] = []

    def show(html: str, width: int = 390, scheme: Scheme = "light") -> Page:
        page = browser.new_page(viewport={"width": width, "height": 400}, color_scheme=scheme)
        pages.append(page)
        page.on("request", lambda request: asked.append(request.url))
        page.on("dialog", lambda dialog: asked.append(f"dialog: {dialog.message}"))
        page.set_content(html, wait_until="load")
        return page

    yield show
    for page in pages:
        assert page.evaluate("window.taken") is None
        assert page.locator("script, iframe, img, object, embed, form, link, base").count() == 0
        page.close()
    assert asked == []


HOSTILE = (
    "<script>window.taken=1</script>",
    "<img src=x onerror=window.taken=1>",
    '"><svg onload=window.taken=1>',
    "{{ 7*7 }}{% for i in range(9) %}x{% endfor %}",
    "</title></style><iframe src=//evil.example>",
    "\u202e\u2066evil\u200b\u200f\ufeff",
    "Z" * 10_000,
    "كلمة عربية",
)


def find_faint(page: Page) -> list[tuple[str, float]]:
    return [(words, ratio) for words, ratio in page.evaluate(CONTRASTS) if ratio < 4.5]


def read_colour(computed: str) -> str:
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", computed)[:3])


def stays_within(page: Page) -> bool:
    return bool(
        page.evaluate("""() => document.scrollingElement.scrollWidth <= innerWidth
            && [...document.querySelectorAll('body *')].every(
                e => e.getBoundingClientRect().right <= innerWidth + 0.5)""")
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("step", "decline_class"), MAILS)
def test_every_mail_is_readable(show: Callable[..., Page], step, decline_class, width, scheme):
    context = make_sample(step, DeclineClass(decline_class))
    if step is Step.REMINDER:
        context = replace(context, others=(OpenAmount("Recipe Vault", Decimal("9"), "eur"),))
    messaging = MessagingSettings(accent="#c2410c", note=NOTE if step is Step.LAST_DAY else None)
    url = UNSUBSCRIBE_URL if step in (Step.REMINDER, Step.LAST_DAY) else None
    page = show(write(context, DESTINATION, messaging, None, url).html, width, scheme)
    PICTURES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=PICTURES / f"{step}-{decline_class}-{width}-{scheme}.png", full_page=True)
    assert stays_within(page)
    assert find_faint(page) == []
    box = page.locator("a.button").bounding_box()
    assert box is not None
    assert box["height"] >= 44


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("accent", ["#ffffff", "#000000", "#ffd400", "#767676", "#1c1c21"])
def test_a_button_of_any_colour_is_readable_and_seen(show: Callable[..., Page], accent, scheme):
    context = make_sample(Step.PAYMENT_FAILED, DeclineClass.CARD)
    page = show(write(context, DESTINATION, MessagingSettings(accent=accent)).html, 390, scheme)
    assert find_faint(page) == []
    edge, sheet = page.evaluate("""() => [
        getComputedStyle(document.querySelector('.button')).borderTopColor,
        getComputedStyle(document.querySelector('.sheet')).backgroundColor,
    ]""")
    assert contrast(*(read_colour(colour) for colour in (edge, sheet))) >= VISIBLE


@pytest.mark.parametrize("words", HOSTILE)
@pytest.mark.parametrize("step", [Step.PAYMENT_FAILED, Step.LAST_DAY])
def test_hostile_words_are_shown_as_words_and_do_nothing(show: Callable[..., Page], step, words):
    context = replace(
        make_sample(step, DeclineClass.ISSUER),
        member_name=words.replace(" ", "\u00a0"),
        product=words,
        card_brand=words,
        others=(OpenAmount(words, Decimal("9"), "eur"),),
    )
    own = OwnTemplate(
        "{{ product }}",
        "{{ product }}",
        "<p title='{{ product }}' dir='{{ name }}'>{{ product }}</p>",
    )
    for template in (None, own):
        messaging = MessagingSettings(sender_name=words, note=words)
        page = show(write(context, DESTINATION, messaging, template, UNSUBSCRIBE_URL).html)
        assert stays_within(page)
        assert page.locator(".sheet a").count() == 2
        shown = make_plain(words, LONGEST_TITLE)
        assert page.locator(".sheet .quiet").first.inner_text().startswith(shown)
        assert shown in page.title() or step is Step.PAYMENT_FAILED
        assert "49{%" not in page.content()
