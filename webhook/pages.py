"""The pages behind a member's unsubscribe link. They load nothing and run no scripts."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

from markupsafe import Markup
from starlette.responses import HTMLResponse

STYLE = Markup("""
:root { color-scheme: light dark; }
body { font: 1.0625rem/1.55 system-ui, sans-serif; max-width: 34rem; margin: 0 auto;
       padding: 2.5rem 1.25rem; color: #1c1e21; background: #fff; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 1rem; }
button { font: inherit; font-weight: 600; padding: .8rem 1.4rem; margin-top: .75rem; border: 0;
         border-radius: .5rem; color: #fff; background: #1c1e21; cursor: pointer; }
a { color: inherit; }
@media (prefers-color-scheme: dark) {
  body { color: #e8eaed; background: #17181a; }
  button { color: #17181a; background: #e8eaed; }
}
""")
STYLE_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def show_question(seller: str | None) -> HTMLResponse:
    """Opening the page changes nothing, because mail scanners open every link in an email."""
    return render_page(
        "Stop these messages?",
        Markup(
            "<p>{} writes to you when a payment for your membership does not go through. Press the"
            " button to get no more of these messages.</p>"
            '<form method="post"><button name="List-Unsubscribe" value="One-Click">'
            "Stop these messages</button></form>"
        ).format(seller or "The seller of your membership"),
    )


def show_confirmation(memberships_page: str) -> HTMLResponse:
    return render_page(
        "Done: no more of these messages",
        Markup(
            "<p>You will get no more messages about payments that did not go through.</p>"
            "<p>The payment itself may still be tried again, and a membership that stays unpaid"
            " ends. You can change your card, or cancel, at"
            ' <a href="{}" rel="noreferrer">your memberships on Whop</a>.</p>'
        ).format(memberships_page),
    )


def show_unknown_link() -> HTMLResponse:
    return render_page(
        "This link does not work",
        Markup(
            "<p>Nothing was changed. Some mail programs cut long links: open the link from the"
            " message again, or copy all of it.</p>"
        ),
        404,
    )


def show_unavailable() -> HTMLResponse:
    return render_page(
        "Not right now",
        Markup(
            "<p>Nothing was changed: we cannot reach our records. Please try again in a few"
            " minutes.</p>"
        ),
        503,
    )


def render_page(title: str, body: Markup, status: int = 200) -> HTMLResponse:
    whole = Markup(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>{0}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>{1}</style><main><h1>{0}</h1>{2}</main></html>"
    )
    return HTMLResponse(whole.format(title, STYLE, body), status, HEADERS)
