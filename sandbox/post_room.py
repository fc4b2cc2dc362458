"""The page that shows the mails sent. What a mail contains is never trusted."""

from collections.abc import Sequence
from html import escape

from sandbox.sendgrid import Mail
from sandbox.times import iso

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
       color: #1c1e21; background: #fff; }
article { border-top: 1px solid #d9dce1; padding: 1rem 0; }
h2 { font-size: 1.05rem; margin: 0; }
p { margin: .2rem 0; color: #5b616b; }
pre { white-space: pre-wrap; background: #f5f6f8; padding: .8rem; border-radius: 6px; }
iframe { width: 100%; height: 26rem; border: 1px solid #d9dce1; border-radius: 6px; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; }
"""


def page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
        f"<h1>{escape(title)}</h1>{body}</html>"
    )


def mails_page(mails: Sequence[Mail]) -> str:
    if not mails:
        return page("Mails sent", "<p>None yet.</p>")
    return page("Mails sent", "".join(map(_article, mails)))


def mail_in_json(mail: Mail) -> dict[str, object]:
    return {
        "id": mail.id,
        "at": iso(mail.at),
        "to": mail.recipients,
        "subject": mail.subject,
        "text": mail.part("text/plain"),
        "html": mail.part("text/html"),
        "custom_args": mail.custom_args,
        "sent": mail.sent,
    }


def _article(mail: Mail) -> str:
    html = mail.part("text/html")
    # An empty sandbox attribute: no scripts, no forms, no reaching out of the frame.
    frame = (
        f'<iframe sandbox="" title="HTML part" srcdoc="{escape(html)}"></iframe>' if html else ""
    )
    text = mail.part("text/plain")
    args = ", ".join(f"{name}={value}" for name, value in mail.custom_args.items())
    return (
        f"<article><h2>{escape(mail.subject)}</h2>"
        f"<p>to {escape(', '.join(mail.recipients))} at {escape(iso(mail.at))}</p>"
        f"<p>{escape(args)}</p>"
        + (f"<pre>{escape(text)}</pre>" if text else "")
        + f"{frame}</article>"
    )
