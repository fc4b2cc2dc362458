"""Writes every message to files, as a member would get it, to read before going live."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from mail.messages import write, write_chat
from mail.samples import DESTINATION, UNSUBSCRIBE_URL, make_sample
from recovery.declines import MEANINGS, DeclineClass
from recovery.labels import MESSAGES, REASONS
from recovery.message_schedule import REMINDERS, SEQUENCES
from recovery.status import Step

PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Messages to members</title>
<style>
  body {{ margin: 32px auto; max-width: 880px; padding: 0 16px;
         font: 16px/1.5 system-ui, sans-serif; }}
  table {{ width: 100%; border-collapse: collapse; }}
  th, td {{ padding: 8px 12px 8px 0; border-top: 1px solid #8888; text-align: left;
           vertical-align: top; }}
  small {{ display: block; font-weight: 400; }}
</style>
</head>
<body>
<h1>Messages to members</h1>
<p>Each as a web page, as the plain text that goes with it, and as written in Whop's chat.</p>
<table>
<tr><th>Reason</th>{heads}</tr>
{rows}
</table>
</body>
</html>
""")


def write_preview(folder: Path) -> int:
    """Returns the number of messages."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for decline_class in DeclineClass:
        for step in SEQUENCES[decline_class]:
            write_message(folder, step, decline_class)
            written += 1
    (folder / "index.html").write_text(list_messages(), encoding="utf-8")
    return written


def write_message(folder: Path, step: Step, decline_class: DeclineClass) -> None:
    context = make_sample(step, decline_class)
    unsubscribe_url = UNSUBSCRIBE_URL if step in REMINDERS else None
    mail = write(context, DESTINATION, unsubscribe_url=unsubscribe_url)
    chat = write_chat(context, DESTINATION)
    for ending, words in (
        ("html", mail.html),
        ("txt", f"Subject: {mail.subject}\n\n{mail.text}"),
        ("md", chat),
    ):
        (folder / f"{step}-{decline_class}.{ending}").write_text(words, encoding="utf-8")


def list_messages() -> Markup:
    heads = Markup("").join(Markup("<th>{}</th>").format(MESSAGES[step]) for step in Step)
    rows = Markup("\n").join(list_class(decline_class) for decline_class in DeclineClass)
    return PAGE.format(heads=heads, rows=rows)


def list_class(decline_class: DeclineClass) -> Markup:
    cells = Markup("").join(
        Markup("<td>{}</td>").format(link_files(step, decline_class)) for step in Step
    )
    row = Markup("<tr><th>{}<small>{}</small></th>{}</tr>")
    return row.format(REASONS[decline_class], MEANINGS[decline_class], cells)


def link_files(step: Step, decline_class: DeclineClass) -> Markup:
    """Empty if this class of decline has no such step."""
    if step not in SEQUENCES[decline_class]:
        return Markup("")
    name = f"{step}-{decline_class}"
    return Markup(" ").join(
        Markup('<a href="{}.{}">{}</a>').format(name, ending, words)
        for ending, words in (("html", "email"), ("txt", "text"), ("md", "chat"))
    )
