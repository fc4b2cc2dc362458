"""The page that shows every mail as its reader sees it. What a mail contains is never trusted."""

from collections.abc import Sequence
from html import escape
from typing import Any

from sandbox.model.times import iso
from sandbox.servers.mails import Mail
from sandbox.wire.mail_events import MailEvent

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1e21; background: #fff; }
article { border-top: 1px solid #d9dce1; padding: 1.25rem 0; display: flex; flex-wrap: wrap;
          gap: 1.25rem; }
article > div { flex: 1 1 20rem; min-width: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.05rem; margin: 0; }
p { margin: .2rem 0; color: #5b616b; }
ol { margin: .6rem 0; padding-left: 1.3rem; }
pre { white-space: pre-wrap; background: #f5f6f8; padding: .8rem; border-radius: 6px; }
iframe { width: 390px; max-width: 100%; height: 640px; border: 1px solid #d9dce1;
         border-radius: 18px; background: #fff; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
@media (prefers-color-scheme: dark) {
  body { color: #e8eaed; background: #17181a; } p { color: #a5abb4; }
  pre { background: #24262a; }
}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What is shown loads nothing: a frame's content is bound by its page's policy."""


def page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>"
    )


def mails_page(mails: Sequence[tuple[Mail, Sequence[MailEvent]]]) -> str:
    if not mails:
        return page("Mails sent", "<p>None yet.</p>")
    return page("Mails sent", "".join(_article(mail, events) for mail, events in mails))


def mail_in_json(mail: Mail, events: Sequence[MailEvent]) -> dict[str, Any]:
    return {
        "id": mail.id,
        "at": iso(mail.at),
        "to": mail.recipients,
        "subject": mail.subject,
        "text": mail.part("text/plain"),
        "html": mail.part("text/html"),
        "custom_args": mail.custom_args,
        "sent": mail.sent,
        "events": [event.document for event in events],
    }


def _article(mail: Mail, events: Sequence[MailEvent]) -> str:
    html, text = mail.part("text/html"), mail.part("text/plain")
    # An empty sandbox attribute: no scripts, no forms, no reaching out of the frame.
    frame = (
        f'<iframe sandbox="" loading="lazy" title="As on a phone" srcdoc="{escape(html)}"></iframe>'
        if html
        else ""
    )
    args = ", ".join(f"{name}={value}" for name, value in mail.custom_args.items())
    return (
        f"<article><div><h2>{escape(mail.subject)}</h2>"
        f"<p>from {escape(mail.sender)}</p>"
        f"<p>to {escape(', '.join(mail.recipients))} at {escape(iso(mail.at))}</p>"
        f"<p>{escape(args)}</p>{_way_out(mail)}{_story(events)}"
        + (f"<details><summary>Text part</summary><pre>{escape(text)}</pre></details>" * bool(text))
        + f"</div>{frame}</article>"
    )


def _way_out(mail: Mail) -> str:
    """What a mail program makes a button of (RFC 8058)."""
    url = mail.unsubscribe_url
    return f'<p><a href="{escape(url)}" rel="noreferrer">Unsubscribe</a></p>' if url else ""


def _story(events: Sequence[MailEvent]) -> str:
    told = "".join(
        f"<li>{escape(event.name)} at {escape(iso(event.at))}"
        f"{escape(': ' + str(event.document['reason']) if 'reason' in event.document else '')}</li>"
        for event in events
    )
    return f"<ol>{told}</ol>" if told else ""
