"""Log lines as text or JSON, with secrets and addresses masked."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime

# A last defence: our code does not log these, but a library's error text may quote a row.
MASKS = (
    (re.compile(r"[\w.+%-]+@[\w-]+\.[\w.-]+"), "[address]"),
    (re.compile(r"\b(ws_|apik_|SG\.)[\w.-]+"), r"\1[secret]"),
    (re.compile(r"(postgres(?:ql)?(?:\+\w+)?://[^:/@\s]*:)[^@\s]+@"), r"\1[secret]@"),
    (re.compile(r"(?i)(bearer\s+)\S+"), r"\1[secret]"),
    (re.compile(r"\b\d{13,19}\b"), "[number]"),
)


def mask(text: str) -> str:
    for pattern, replacement in MASKS:
        text = pattern.sub(replacement, text)  # invariant 8: log lines are masked
    return text


class TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return mask(super().format(record))


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": mask(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = mask(self.formatException(record.exc_info))
        return json.dumps(line)


def configure_logging(level: str, style: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    text = TextFormatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonFormatter() if style == "json" else text)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # At INFO httpx logs every URL and alembic its internals, which would hide our own lines.
    for chatty in ("httpx", "httpcore", "alembic", "schedule"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
