"""What an email address is, by one rule for saving and for sending.

By the standards, as email-validator implements them, but stricter: one bare address without quotes,
only ASCII before the @ (SendGrid accepts nothing else), and no disguised domain.
"""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

SENDER = re.compile(r"([^<>]*)<([^<>]+)>")
# Most addresses. The library needs thirty microseconds for each, and every failed payment has one.
PLAIN = re.compile(
    r"[a-z0-9]+([._+-][a-z0-9]+)*@([a-z0-9]+(-[a-z0-9]+)*\.)+(com|net|org|[a-z]{2})", re.ASCII
)
LONGEST_PLAIN = 63


class AddressError(ValueError):
    """The message does not repeat the address."""

    def __init__(self) -> None:
        super().__init__("not a single email address")


def parse_address(text: str) -> str:
    """The address in ASCII, its domain in lower case. Raises AddressError."""
    try:
        found = validate_email(
            text,
            allow_smtputf8=False,
            strict=True,
            check_deliverability=False,
            # Developers may write to .test.
            test_environment=True,
        )
    except EmailNotValidError:
        raise AddressError from None
    if found.ascii_email is None or "." not in found.ascii_domain or is_disguised(found):
        raise AddressError
    return found.ascii_email


def is_disguised(found: ValidatedEmail) -> bool:
    """Whether it was typed in other characters, such as full-width letters, than the domain it
    means."""
    typed = found.original.rpartition("@")[2]
    as_read = (found.domain, found.ascii_domain)
    return typed.lower() not in as_read or not unicodedata.is_normalized("NFKC", typed)


def parse_sender(text: str) -> tuple[str, str]:
    """The name and the address in "Name <address>" or in an address alone. Raises AddressError."""
    found = SENDER.fullmatch(text.strip())
    name, address = found.groups() if found else ("", text.strip())
    return name.strip(), parse_address(address)


def is_address(text: str) -> bool:
    if len(text) <= LONGEST_PLAIN and PLAIN.fullmatch(text):
        return True
    try:
        parse_address(text)
    except AddressError:
        return False
    return True


def find_address(text: str | None) -> str | None:
    """What an email can be sent to, without blanks around it. None: nothing can."""
    bare = (text or "").strip()
    return bare if is_address(bare) else None
