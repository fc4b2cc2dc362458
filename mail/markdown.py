"""Escapes names for Whop's chat, which renders Markdown."""

from __future__ import annotations

import re

from mail.context import Words

SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&@])")
# A chat also turns bare addresses into links, and mentions whoever follows an @.
LINKING = re.compile(r"(@|:(?=//)|\.(?=\S))")
# Invisible, and no line breaks at it.
WORD_JOINER = "\u2060"
# Variables with text that others typed. The rest is our own text, and Whop's link.
NAMES = frozenset({"name", "seller", "product", "card"})


def escape_markdown(text: str) -> str:
    return SPECIAL.sub(r"\\\1", LINKING.sub(rf"\1{WORD_JOINER}", text))


def escape_words(words: Words) -> Words:
    escaped = dict(words)
    for name in NAMES:
        value = words[name]
        escaped[name] = escape_markdown(value) if isinstance(value, str) else value
    if isinstance(others := words["others"], list):
        escaped["others"] = [o | {"product": escape_markdown(o["product"])} for o in others]
    return escaped
