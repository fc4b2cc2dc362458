"""An email as SendGrid receives it, and the faults that SendGrid would refuse it for."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any

ONE_CLICK = re.compile(r"<(https?://[^<>]+)>")
# Narrower than the standards: no quotes, and only ASCII.
ADDRESS = re.compile(r"[!#-'*+\-./0-9=?A-Z^-~]+@[A-Za-z0-9.-]+", re.ASCII)
LINK = re.compile(r'href="(https?://[^"]+)"')


@dataclass(frozen=True)
class Mail:
    id: str
    at: datetime
    sent: Mapping[str, Any]

    @property
    def recipients(self) -> list[str]:
        return [to["email"] for one in self.sent["personalizations"] for to in one["to"]]

    @property
    def subject(self) -> str:
        first = self.sent["personalizations"][0]
        return str(first.get("subject") or self.sent.get("subject", ""))

    @property
    def custom_args(self) -> dict[str, str]:
        own = self.sent["personalizations"][0].get("custom_args", {})
        return {**self.sent.get("custom_args", {}), **own}

    @property
    def sender(self) -> str:
        """In the format that a mail program shows."""
        sender = self.sent["from"]
        return f"{sender['name']} <{sender['email']}>" if sender.get("name") else sender["email"]

    @property
    def unsubscribe_url(self) -> str | None:
        """Only http and https links, because it is shown as a link on a page."""
        found = ONE_CLICK.fullmatch(str(self.sent.get("headers", {}).get("List-Unsubscribe", "")))
        return found[1] if found else None

    @property
    def link(self) -> str:
        """The first link: the one that readers click."""
        found = LINK.search(self.part("text/html"))
        return unescape(found[1]) if found else ""

    def part(self, media_type: str) -> str:
        parts = (part["value"] for part in self.sent["content"] if part["type"] == media_type)
        return next(parts, "")


def is_only_checked(sent: Mapping[str, Any]) -> bool:
    """SendGrid's own sandbox mode: a valid email is answered with 200 and not sent."""
    settings = sent.get("mail_settings")
    mode = settings.get("sandbox_mode") if isinstance(settings, dict) else None
    return isinstance(mode, dict) and mode.get("enable") is True


def find_faults(sent: Any) -> Iterator[tuple[str, str | None]]:
    """(message, field) of each fault that SendGrid would refuse the email for."""
    if not isinstance(sent, dict):
        yield "Bad Request", None
        return
    yield from check_recipients(sent.get("personalizations"))
    if not has_address(sent.get("from")):
        yield "The from object must be provided, with an email address", "from.email"
    templated = bool(sent.get("template_id"))
    if not (sent.get("subject") or templated or each_has_subject(sent)):
        yield "The subject is required, here or in every personalization", "subject"
    content = sent.get("content")
    if not content and not templated:
        yield "At least one content block is required without a template_id", "content"
        return
    for number, part in enumerate(content or []):
        for name in ("type", "value"):
            if not isinstance(part, dict) or not part.get(name):
                yield (
                    f"The content {name} must be a string of at least one character",
                    (f"content.{number}.{name}"),
                )


def check_recipients(personalizations: Any) -> Iterator[tuple[str, str | None]]:
    if not isinstance(personalizations, list) or not personalizations:
        yield "The personalizations field needs at least one personalization", "personalizations"
        return
    for number, one in enumerate(personalizations):
        recipients = one.get("to") if isinstance(one, dict) else None
        if not isinstance(recipients, list) or not recipients:
            yield "The to array needs at least one recipient", f"personalizations.{number}.to"
        for index, to in enumerate(recipients if isinstance(recipients, list) else []):
            if not has_address(to):
                field = f"personalizations.{number}.to.{index}.email"
                yield "Does not contain a valid address.", field


def each_has_subject(sent: Mapping[str, Any]) -> bool:
    personalizations = sent.get("personalizations")
    if not isinstance(personalizations, list) or not personalizations:
        return False
    return all(isinstance(one, dict) and one.get("subject") for one in personalizations)


def has_address(person: Any) -> bool:
    if not isinstance(person, dict):
        return False
    return bool(ADDRESS.fullmatch(str(person.get("email", ""))))
