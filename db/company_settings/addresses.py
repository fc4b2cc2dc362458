"""What an e-mail address is. One rule: what may be kept may be sent to, and the reverse.

By the standards, as email-validator reads them, and narrower: one bare address, nothing quoted,
only ASCII before the @ (SendGrid takes nothing else), and no domain in disguise.
"""

from __future__ import annotations

import re
import unicodedata

from email_validator import EmailNotValidError, ValidatedEmail, validate_email

SENDER = re.compile(r"([^<>]*)<([^<>]+)>")


class AddressError(ValueError):
    """It does not repeat what was given."""

    def __init__(self) -> None:
        super().__init__("not one e-mail address alone")


def parse_address(text: str) -> str:
    """As a mail needs it: in ASCII, its domain in small letters. Raises AddressError."""
    try:
        found = validate_email(
            text,
            allow_smtputf8=False,
            strict=True,
            check_deliverability=False,
            test_environment=True,  # whoever develops may write to .test
        )
    except EmailNotValidError:
        raise AddressError from None
    if found.ascii_email is None or "." not in found.ascii_domain or is_disguised(found):
        raise AddressError
    return found.ascii_email


def is_disguised(found: ValidatedEmail) -> bool:
    """Letters of full width and the like would be read as a domain that nobody wrote."""
    typed = found.original.rpartition("@")[2]
    as_read = (found.domain, found.ascii_domain)
    return typed.lower() not in as_read or not unicodedata.is_normalized("NFKC", typed)


def parse_sender(text: str) -> tuple[str, str]:
    """Name and address of "Name <address>", or of an address alone. Raises AddressError."""
    found = SENDER.fullmatch(text.strip())
    name, address = found.groups() if found else ("", text.strip())
    return name.strip(), parse_address(address)


def is_address(text: str) -> bool:
    try:
        parse_address(text)
    except AddressError:
        return False
    return True
