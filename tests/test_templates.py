"""A company's own templates: kept when they work in every letter, else refused with the line."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from db.company_settings.templates import (
    OwnTemplate,
    find_template,
    restore_template,
    store_template,
)
from mail.messages import OURS, write, write_chat
from mail.rendering import FILTERS, LONGEST_RESULT, VARIABLES, BrokenTemplateError, fill
from mail.samples import DESTINATION, make_sample
from mail.templates import check_template, save_template
from recovery.declines import DeclineClass
from recovery.status import Step
from tests.factories import COMPANY, NOW

ROOT = Path(__file__).resolve().parent.parent
STEP = Step.REMINDER
GOOD = OwnTemplate(
    "{{ product }}: {{ amount }} still open",
    "Hey {{ name|upper }}!\n{% for other in others %}\n{{ other.product }}\n{% endfor %}",
    "<p>Hey <strong>{{ name }}</strong>!</p>\n{% if next_try %}<p>{{ next_try }}</p>{% endif %}",
)
CONTEXT = make_sample(STEP, DeclineClass.FUNDS)


def save(session: Session, template: OwnTemplate, step: Step = STEP) -> None:
    save_template(
        session, COMPANY, step, template.subject, template.text, template.html, "maya", NOW
    )


@pytest.mark.parametrize("step", Step)
def test_our_own_templates_pass_the_check_for_companies(step):
    check_template(step, OURS[step])


def test_it_is_kept_replaced_and_given_up(session: Session):
    assert find_template(session, COMPANY, STEP) is None
    save(session, OURS[STEP])
    assert find_template(session, COMPANY, STEP) == OURS[STEP]
    save(session, GOOD)
    assert find_template(session, COMPANY, STEP) == GOOD
    assert find_template(session, COMPANY, Step.NOTICE) is None
    assert find_template(session, "biz_other", STEP) is None
    assert restore_template(session, COMPANY, STEP, "somebody", NOW)
    assert not restore_template(session, COMPANY, STEP, "somebody", NOW)
    assert find_template(session, COMPANY, STEP) is None


def test_it_stands_between_who_writes_and_the_button():
    written = write(CONTEXT, DESTINATION, template=GOOD)
    assert written.subject == "Marathon Training Pro: $49.00 still open"
    assert written.text.startswith("Northside Run Club is writing to you")
    assert "\n\nHey JO!\n\nUpdate your card: https://" in written.text
    assert "<p>Hey <strong>Jo</strong>!</p>" in written.html
    assert "Update your card</a>" in written.html
    assert "Hey JO!\n\n[Update your card](https://" in write_chat(
        CONTEXT, DESTINATION, template=GOOD
    )


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("one\ntwo {{ nmae }}", "line 2: there is no variable 'nmae'.*variables name, seller"),
        ("one\n\n{% if name %}", "line 3: .*end of template"),
        ("{{ name", "line 1: "),
        ("a\n{{ seller }}", r"line 2: .*empty in some messages.*\{% if seller %\}"),
        ("a\n\n{{ others }}", "line 3: .*not text"),
        ("{{ name.__class__.__mro__ }}", "nothing behind the dot"),
        ("{{ name['__class__'] }}", "'getitem' cannot be used"),
        ("{{ ''.__class__ }}", "nothing behind the dot"),
        ("{{ name.upper() }}", "'call' cannot be used"),
        ("{{ lipsum() }}", "'call' cannot be used"),
        ("{{ 'a' * 99999999 }}", "'mul' cannot be used"),
        ("{{ 9 ** 99999999 }}", "'pow' cannot be used"),
        ("{{ name|center(99999999) }}", "filter 'center'"),
        ("{{ name|safe }}", "filter 'safe'"),
        ("{{ name|nothing }}", "filter 'nothing'"),
        ("a\n{{ next_try|title }}", "line 2: .*empty in some messages"),
        ("{{ others|upper }}", "not text"),
        ("{% for i in range(99999999) %}x{% endfor %}", "line 1: this loop"),
        ("{% for a in name %}{{ a }}{% endfor %}", "this loop"),
        (
            "{% for a in others %}\n{% for b in others %}x{% endfor %}{% endfor %}",
            "line 2: this loop",
        ),
        ("{% for a in others %}{{ a.price }}{% endfor %}", "a has no 'price'"),
        ("{% for a in others %}{{ a }}{% endfor %}", "not text"),
        ("{% include 'layout.html' %}", "'include' cannot be used"),
        ("{% import 'layout.html' as x %}", "'import' cannot be used"),
        ("{% extends 'layout.html' %}", "'extends' cannot be used"),
        ("{% macro f() %}{{ f() }}{% endmacro %}", "'macro' cannot be used"),
        ("{% set name = 'x' %}", "'assign' cannot be used"),
        ("{{ name if name > 'a' }}", "'gt' cannot compare"),
        ("{{ " + "(" * 3000 + "name" + ")" * 3000 + " }}", "too deep"),
        ("{% if name %}" * 200 + "{% endif %}" * 200, "too deep"),
        ("{{ " + "9" * 6000 + " }}", "too deep or too long"),
        (" \n", "it must not be empty"),
        ("x" * 20_001, "20,001 characters; the limit is"),
    ],
)
def test_a_template_that_cannot_work_is_refused_with_the_line(session: Session, source, words):
    began = time.monotonic()
    for part in ("text", "html"):
        with pytest.raises(BrokenTemplateError, match=f"(?s)^{part}, .*{words}"):
            save(session, replace(GOOD, **{part: source}))
    assert time.monotonic() - began < 5
    assert find_template(session, COMPANY, STEP) is None


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>a</p>\n<script>alert(1)</script>", "line 2: <script> cannot be used"),
        ("<img src='https://evil.example/x.png'>", "<img> cannot be used"),
        ("<p onclick='alert(1)'>a</p>", "'onclick' cannot be used"),
        ("<p/onclick=alert(1)>a</p>", "'onclick' cannot be used"),
        ("\n<a href='javascript:alert(1)'>a</a>", "line 2: a link begins with https"),
        ("<a href=' java\nscript:alert(1)'>a</a>", "a link begins with https"),
        ("<a href='{{ name }}'>a</a>", "a link begins with https"),
        ("<p style='background:url(https://evil.example)'>a</p>", "a style cannot use"),
        ("<p style='background:u\\72l(https://evil.example)'>a</p>", "a style cannot use"),
        ("<!-- [if mso]> <script> -->", "line 1: comments cannot be used"),
        ("<?php x ?>", "processing instruction"),
        ("<!doctype html>", "a declaration is not needed"),
        ("<![CDATA[<script>]]>", "declaration|begins no tag"),
        ("<p>a</p>\n</div>", "line 2: </div> closes nothing"),
        ("a\n<div>b", "line 2: <div> is not closed"),
        ("<b><i>a</b></i>", "</b> closes nothing"),
        ("<div/>", "no HTML"),
        ("a <img src=x", "begins no tag|<img> cannot"),
        ("<{% if name %}script{% endif %}>", "begins no tag|cannot be used"),
        ("{% if seller %}<b>{% endif %}a</b>", "closes nothing"),
        ("<style>p{}</style>", "<style> cannot be used"),
        ("<meta http-equiv=refresh content=0>", "<meta> cannot be used"),
    ],
)
def test_html_that_is_more_than_words_is_refused_with_the_line(session: Session, html, words):
    with pytest.raises(BrokenTemplateError, match=f"^html, .*({words})"):
        save(session, replace(GOOD, html=html))
    assert find_template(session, COMPANY, STEP) is None


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: all@example.com", "a\nb", "a\u2028b"])
def test_a_subject_of_several_lines_is_refused(session: Session, subject):
    with pytest.raises(BrokenTemplateError, match=r"^subject, line 2: a subject"):
        save(session, replace(GOOD, subject=subject))


def test_a_word_in_a_condition_is_fine(session: Session):
    text = "{% if name == 'there' or not next_try %}Hello!{% else %}Hi {{ name }}!{% endif %}"
    save(session, replace(GOOD, text=text))
    assert "Hi Jo!" in write(CONTEXT, DESTINATION, template=replace(GOOD, text=text)).text


def test_a_template_that_broke_after_it_was_saved_holds_no_message_up(session: Session, caplog):
    old = replace(GOOD, html="<p>{{ first_name }}</p>")  # a variable that is gone by now
    store_template(session, COMPANY, STEP, old, "maya", NOW)
    found = find_template(session, COMPANY, STEP)
    assert found == old
    with caplog.at_level(logging.WARNING):
        written = write(CONTEXT, DESTINATION, template=found)
        chat = write_chat(CONTEXT, DESTINATION, template=found)
    assert written == write(CONTEXT, DESTINATION)
    assert chat == write_chat(CONTEXT, DESTINATION)
    assert "line 1: there is no variable 'first_name'" in caplog.text
    assert CONTEXT.address not in caplog.text


def test_a_result_without_end_is_refused():
    words: dict[str, Any] = {"others": [{"product": "x" * 80, "amount": "1"}] * 1000}
    source = "{% for a in others %}{{ a.product }}{% endfor %}"
    with pytest.raises(BrokenTemplateError, match=f"more than {LONGEST_RESULT:,} characters"):
        fill(source, "text", words)


def test_the_docs_name_every_variable_and_filter():
    page = (ROOT / "docs" / "creators" / "wording.md").read_text()
    assert [name for name in VARIABLES | FILTERS.keys() if f"`{name}`" not in page] == []
