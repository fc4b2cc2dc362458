"""The digest in a real browser: on a phone and wide, by day and night, and with hostile words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page

from mail.digest import write_digest
from recovery.wording import LONGEST_NAME, make_plain
from tests import test_mail_pictures as messages
from tests.test_digest import make_digest

pytestmark = pytest.mark.browser

LINK = "https://dashboard.example"
show = messages.show


@pytest.mark.parametrize("scheme", messages.SCHEMES)
@pytest.mark.parametrize("width", messages.WIDTHS)
def test_the_digest_is_readable(show: Callable[..., Page], width, scheme):
    page = show(write_digest(make_digest(), LINK).html, width, scheme)
    messages.PICTURES.mkdir(parents=True, exist_ok=True)
    path = messages.PICTURES / f"digest-{width}-{scheme}.png"
    page.screenshot(path=path, full_page=True)
    assert messages.stays_within(page)
    assert messages.find_faint(page) == []
    box = page.locator("a.button").bounding_box()
    assert box is not None
    assert box["height"] >= 44


@pytest.mark.parametrize("words", messages.HOSTILE)
def test_hostile_words_are_shown_as_words_and_do_nothing(show: Callable[..., Page], words):
    digest = make_digest()
    payment = replace(digest.needing_action[0], member_name=words, product=words)
    page = show(write_digest(replace(digest, company=words, needing_action=(payment,)), LINK).html)
    assert messages.stays_within(page)
    assert page.locator("a").count() == 1
    shown = make_plain(words, LONGEST_NAME)
    assert shown in page.locator(".from").first.inner_text()
