"""What no person may read: a second word for a thing that recovery/labels.py names, and an
identifier. Whoever changes a label writes the former one down here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

from mail.rendering import VARIABLES

# By the one word for it.
SECOND_WORDS: dict[str, tuple[str, ...]] = {
    # statuses, and who recovered it
    "Retry scheduled": (r"retry (in|due) (\d|now)", r"retry pending"),
    "Not recovered": (r"g(ave|iven) up", r"permanently failed"),
    "Recovered by our retry": (r"recovered by our (retries|charges?)",),
    "Paid after our message": (r"by (the )?members?,? after our", r"(\d|recovered) by members"),
    "Would have come anyway": (r"without us",),
    # reasons
    "Insufficient funds": (r"not enough (money|funds)",),
    "Declined by the bank": (r"bank said no",),
    "Technical error": (r"something broke",),
    "Card problem": (r"card no longer valid",),
    "Suspected fraud": (r"fraud suspected",),
    "Possible duplicate charge": (r"looks like a second charge", r"taken for a duplicate"),
    "Wrong amount": (r"amount (is )?not accepted", r"does not accept the amount"),
    "Unknown reason": (r"no known reason",),
    # messages
    "First message": (r"the payment failed[:,] (sent|delivered|opened)",),
    "Last-day message": (r"last day[:,] (sent|delivered|opened)",),
    "Reported as spam": (r"called (it|a message) spam",),
    "Unsubscribed": (r"(asked for|wants) no more( m|[.,]|$)",),
    "Email": (r"e-mails?", r"(?<![-/@.])mails?(?! (server|settings|endpoint)s?\b)(?![-/@]|\.\w)"),
    # periods, shares, cards
    "62% (61 of 98)": (r"[\d,]+ of [\d,]+ \(\d+(\.\d)?%\)", r"\d+\.\d% \([\d,]+ of"),
    "Backup card": (r"another saved card",),
}
# A whole name, label or choice; within a sentence the words are nobody's name.
SECOND_NAMES = {
    "First message": ("Payment failed", "The payment failed"),
    "Last-day message": ("Last day",),
    "Test payment": ("Test",),
    "Must be paid anew": ("Bank debit failed",),
    "Waiting": ("Failed, waiting",),
    "All time": ("Any time", "Ever"),
    "Anyone": ("Anybody",),
    "No email address": ("No address is known",),
}
FORBIDDEN = [
    (label, re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE))
    for label, patterns in SECOND_WORDS.items()
    for words in patterns
]
NAMES = {name: label for label, names in SECOND_NAMES.items() for name in names}
IDENTIFIER = re.compile(
    r"(?<![\w:/.@#-])(?:biz_\w+|[a-z]+\d*(?:_[a-z0-9]+)+)(?![\w/@]|:\w)"  # permanent_fail
    r"|(?<!^)(?<!\. )\b(?:None|True|False)\b"  # a sentence may begin with them
    r"|\b[A-Z]\w+\.[A-Z_]{2,}\b"  # PaymentStatus.FAILED
)
ADDRESS = re.compile(r"https?://\S+")
# Shown on purpose: a payment's own id, and what a template may hold.
ON_PURPOSE = re.compile(r"(pay|mber|mem|user)_\w+")


def find_second_words(text: str) -> Iterator[str]:
    """Each with what should stand there."""
    line = " ".join(text.split())
    for label, pattern in FORBIDDEN:
        for found in pattern.finditer(line):
            yield f"“{found[0]}” is “{label}”: {quote(line, found)}"
    if line in NAMES:
        yield f"“{line}” is “{NAMES[line]}”"


def quote(line: str, found: re.Match[str]) -> str:
    return f"…{line[max(found.start() - 40, 0) : found.end() + 20]}…"


def find_identifiers(text: str) -> Iterator[str]:
    line = ADDRESS.sub("", " ".join(text.split()))
    for found in IDENTIFIER.finditer(line):
        if not ON_PURPOSE.fullmatch(found[0]) and found[0] not in VARIABLES:
            yield f"“{found[0]}”: {quote(line, found)}"


def find_faults(texts: Iterator[str] | list[str]) -> list[str]:
    found = (fault for text in texts for find in FINDERS for fault in find(text))
    return sorted(set(found))


FINDERS = (find_second_words, find_identifiers)

# --- what of a source a person reads -----------------------------------------------------------

UNSEEN = re.compile(r"<(style|script|code)\b.*?</\1>|<!--.*?-->", re.DOTALL)
SAID = re.compile(r"\b(?:alt|title|aria-label|placeholder)=\"([^\"]*)\"")
TAG = re.compile(r"</?[^>]+>")


def read_html(source: str) -> list[str]:
    """The text between the tags, and what is read aloud. Code is shown as code on purpose."""
    seen = UNSEEN.sub("", source)
    said = SAID.findall(seen)
    return [html.unescape(text).strip() for text in [*TAG.split(seen), *said] if text.strip()]


CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+(?:\n[^`\n]+)?`|^ {4}.*$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\([^)\s]+(?: \"[^\"]*\")?\)")


# What a program has printed, kept word for word.
PRINTED = re.compile(r"<!-- report -->.*?<!-- end of report -->", re.DOTALL)


def read_markdown(source: str) -> list[str]:
    """Paragraphs and table cells. Names of the code stand in backticks, and only there."""
    seen = LINK.sub("]", CODE.sub("", UNSEEN.sub("", PRINTED.sub("", source))))
    blocks = re.split(r"\n\s*\n|\|", seen)
    return [text for block in blocks for text in read_html(block)]
