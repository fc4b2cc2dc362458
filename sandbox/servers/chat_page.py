"""The pages of the support chats and of the posts. What they contain is never trusted."""

import re
from collections.abc import Sequence
from html import escape

from sandbox.model.times import iso
from sandbox.servers.mail_page import page
from sandbox.servers.posts import Post
from sandbox.servers.support import Chat

LINK = re.compile(r"\[([^\[\]]+)\]\((https?://[^\s()]+)\)|(https?://[^\s()&]+(?:&amp;[^\s()&]+)*)")
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
SPOKEN = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~&@-])")
ASIDE = 0xE000
"""Where Unicode has no characters of its own."""


def support_page(chats: Sequence[Chat]) -> str:
    if not chats:
        return page("Support chats", "<p>None yet.</p>")
    return page("Support chats", "".join(map(_article, chats)))


def chat_in_json(chat: Chat) -> dict[str, object]:
    return {
        "channel_id": chat.channel_id,
        "member": chat.name,
        "messages": [{"at": iso(at), "content": content} for at, content in chat.messages],
    }


def posts_page(posts: Sequence[Post]) -> str:
    """As they were sent: the signs that each platform asks to escape are still escaped."""
    shown = "".join(
        f"<article><h2>{post.platform}</h2><p>{escape(iso(post.at))}</p>"
        f"<pre>{escape(post.text)}</pre></article>"
        for post in posts
    )
    return page("Posts to Discord and Slack", shown or "<p>None yet.</p>")


def _article(chat: Chat) -> str:
    messages = "".join(
        f"<p>{escape(chat.seller)} at {escape(iso(at))}</p><div>{show_markdown(content)}</div>"
        for at, content in chat.messages
    )
    return f"<article><h2>{escape(chat.name)}</h2>{messages}</article>"


def show_markdown(content: str) -> str:
    """As much of it as a chat shows: paragraphs, bold, links, and signs that a backslash makes
    plain. HTML in it is text."""
    # Set aside, so that no mark is seen in them.
    plain = SPOKEN.sub(lambda found: chr(ASIDE + ord(found[1])), content.strip())
    paragraphs = re.split(r"\n\s*\n", escape(plain))
    shown = "".join(f"<p>{_show_marks(text)}</p>" for text in paragraphs)
    return re.sub("[\ue000-\ue07f]", lambda found: escape(chr(ord(found[0]) - ASIDE)), shown)


def _show_marks(text: str) -> str:
    return LINK.sub(_link, BOLD.sub(r"<strong>\1</strong>", text)).replace("\n", "<br>")


def _link(found: re.Match[str]) -> str:
    target = found[2] or found[3]
    return f'<a href="{target}">{found[1] or target}</a>'
