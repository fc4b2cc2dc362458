"""The page that shows every email as its reader sees it. Its content is never trusted."""

from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup

from sandbox.model.times import iso
from sandbox.servers.mails import Mail
from sandbox.wire.mail_events import MailEvent

STYLE = Markup("""
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
""")
# Nothing is loaded: a frame's content is bound by the policy of its page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(title: str, body: Markup) -> Markup:
    return Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{0}</title>'
        '<meta name="viewport" content="width=device-width"><style>{1}</style>'
        "<h1>{0}</h1>{2}</html>"
    ).format(title, STYLE, body)


def list_page(title: str, articles: Iterable[Markup]) -> Markup:
    return page(title, Markup("").join(articles) or Markup("<p>None yet.</p>"))


def mails_page(mails: Sequence[tuple[Mail, Sequence[MailEvent]]]) -> Markup:
    return list_page("Emails sent", (draw_mail(mail, events) for mail, events in mails))


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


def draw_mail(mail: Mail, events: Sequence[MailEvent]) -> Markup:
    args = ", ".join(f"{name}={value}" for name, value in mail.custom_args.items())
    return Markup(
        "<article><div><h2>{}</h2><p>from {}</p><p>to {} at {}</p><p>{}</p>{}</div>{}</article>"
    ).format(
        mail.subject,
        mail.sender,
        ", ".join(mail.recipients),
        iso(mail.at),
        args,
        draw_unsubscribe_link(mail) + draw_events(events) + draw_text_part(mail.part("text/plain")),
        draw_frame(mail.part("text/html")),
    )


def draw_frame(html: str) -> Markup:
    """The empty sandbox attribute allows no scripts, no forms and no access to the page."""
    frame = Markup('<iframe sandbox="" loading="lazy" title="As on a phone" srcdoc="{}"></iframe>')
    return frame.format(html) if html else Markup("")


def draw_text_part(text: str) -> Markup:
    shown = Markup("<details><summary>Text part</summary><pre>{}</pre></details>")
    return shown.format(text) if text else Markup("")


def draw_unsubscribe_link(mail: Mail) -> Markup:
    """The link that a mail program shows as a button (RFC 8058)."""
    button = Markup('<p><a href="{}" rel="noreferrer">Unsubscribe</a></p>')
    return button.format(mail.unsubscribe_url) if mail.unsubscribe_url else Markup("")


def draw_events(events: Sequence[MailEvent]) -> Markup:
    items = Markup("").join(
        Markup("<li>{} at {}{}</li>").format(event.name, iso(event.at), describe_reason(event))
        for event in events
    )
    return Markup("<ol>{}</ol>").format(items) if items else items


def describe_reason(event: MailEvent) -> str:
    return f": {event.document['reason']}" if "reason" in event.document else ""
