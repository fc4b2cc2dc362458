"""The sandbox's front page: where to look."""

from fastapi.responses import HTMLResponse
from markupsafe import Markup

from sandbox.servers.mail_page import page
from sandbox.world.world import World

LINKS = {
    "/mails": "emails sent",
    "/support": "support chats",
    "/posts": "posts to Discord and Slack",
    "/sandbox/ledger": "every real charge",
    "/sandbox/switches": "readings of what Whop does not document",
    "/openapi.json": "the control routes",
}


def front_page(world: World) -> HTMLResponse:
    link = Markup('<li><a href="{}">{}</a></li>')
    links = Markup("").join(link.format(path, text) for path, text in LINKS.items())
    body = Markup(
        "<p>A stand-in for Whop's API (/api/v1) and SendGrid's (/v3/mail/send)."
        " Nobody is charged and no email leaves this machine.</p>"
        "<ul>{}</ul><p>{} charges so far.</p>"
    )
    return HTMLResponse(page("Sandbox", body.format(links, len(world.ledger.charges()))))
