"""The pages of support chats and posts. Their content is never trusted."""

import re
from collections.abc import Callable, Sequence

from markupsafe import Markup, escape

from sandbox.model.times import iso
from sandbox.servers.mail_page import list_page
from sandbox.servers.posts import Post
from sandbox.servers.support import Chat

LINK = re.compile(r"\[([^\[\]]+)\]\((https?://[^\s()]+)\)|(https?://[^\s()&]+(?:&amp;[^\s()&]+)*)")
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*")
SPOKEN = re.compile(r"\\([\\`*_{}\[\]()#+.!|<>~&@-])")
# Unicode's private use area: escaped signs are kept there while the Markdown is read.
ASIDE = 0xE000
SET_ASIDE = re.compile("[\ue000-\ue07f]")


def support_page(chats: Sequence[Chat]) -> Markup:
    return list_page("Support chats", map(draw_chat, chats))


def chat_in_json(chat: Chat) -> dict[str, object]:
    return {
        "channel_id": chat.channel_id,
        "member": chat.name,
        "messages": [{"at": iso(at), "content": content} for at, content in chat.messages],
    }


def posts_page(posts: Sequence[Post]) -> Markup:
    """Shows posts as they were sent, with the escapes that each platform asks for."""
    article = Markup("<article><h2>{}</h2><p>{}</p><pre>{}</pre></article>")
    shown = (article.format(post.platform, iso(post.at), post.text) for post in posts)
    return list_page("Posts to Discord and Slack", shown)


def draw_chat(chat: Chat) -> Markup:
    messages = Markup("").join(
        Markup("<p>{} at {}</p><div>{}</div>").format(chat.seller, iso(at), show_markdown(content))
        for at, content in chat.messages
    )
    return Markup("<article><h2>{}</h2>{}</article>").format(chat.name, messages)


def show_markdown(content: str) -> Markup:
    """Renders the Markdown that a chat shows: paragraphs, bold, links and backslash escapes.

    HTML in it is shown as text.
    """
    # Moved to the private use area, so that they are not read as Markdown.
    plain = SPOKEN.sub(lambda found: chr(ASIDE + ord(found[1])), content.strip())
    paragraphs = (escape(text) for text in re.split(r"\n\s*\n", plain))
    shown = Markup("").join(Markup("<p>{}</p>").format(show_marks(text)) for text in paragraphs)
    return replace_matches(SET_ASIDE, shown, lambda sign: escape(chr(ord(sign) - ASIDE)))


def show_marks(text: Markup) -> Markup:
    bold = replace_matches(BOLD, text, lambda _, words: Markup("<strong>{}</strong>").format(words))
    return replace_matches(LINK, bold, draw_link).replace("\n", Markup("<br>"))


def draw_link(_: Markup, words: Markup, target: Markup, bare: Markup) -> Markup:
    return Markup('<a href="{}">{}</a>').format(target or bare, words or bare)


def replace_matches(pattern: re.Pattern[str], text: Markup, dress: Callable[..., Markup]) -> Markup:
    """`dress` gets the match and its groups. They are escaped already."""
    pieces, at = [], 0
    for found in pattern.finditer(text):
        groups = (text[slice(*found.span(group))] for group in range(pattern.groups + 1))
        pieces += [text[at : found.start()], dress(*groups)]
        at = found.end()
    return Markup("").join([*pieces, text[at:]])
