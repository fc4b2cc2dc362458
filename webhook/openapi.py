"""OpenAPI descriptions of the routes that FastAPI does not know: webhooks and unsubscribing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from mail import signature
from webhook.bodies import ENVELOPE, FLAT, MAIL_EVENTS
from webhook.verification import LARGEST_BODY

FAILED_PATH, EVENTS_PATH = WEBHOOK_PATHS = ("/webhook/payment_failed", "/webhook/whop")
MAIL_EVENTS_PATH = "/webhook/sendgrid"
ALL_WEBHOOK_PATHS = (*WEBHOOK_PATHS, MAIL_EVENTS_PATH)
UNSUBSCRIBE_PATH = "/unsubscribe/{token}"


def describe_headers(*named: tuple[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "schema": {"type": "string"},
            "description": what,
        }
        for name, what in named
    ]


SIGNATURE = describe_headers(
    ("webhook-id", "The event's id; a repeated one changes nothing."),
    ("webhook-timestamp", "Unix seconds, at most 5 minutes off."),
    ("webhook-signature", "`v1,<base64>` over id, timestamp and body."),
)
MAIL_SIGNATURE = describe_headers(
    (signature.TIMESTAMP, "Unix seconds, at most 5 minutes off."),
    (signature.SIGNATURE, "ECDSA, base64, over timestamp and body."),
)
ANSWERS = {
    "200": "The event is on disk, and its payment is visible to the next read",
    "400": "Not JSON",
    "401": "The signature is not valid",
    "413": f"Larger than {LARGEST_BODY // 1024} KiB",
    "415": "Not application/json",
    "422": "A field is missing or wrong; the detail names it",
    "503": "The database is unavailable; deliver again",
}

MAIL_ANSWERS = ANSWERS | {
    "200": "Every event about our messages is on disk and recorded with its message",
    "404": "SENDGRID_WEBHOOK_KEY is not set",
    "413": "Larger than 1 MiB",
    "422": "Not an array of events",
}

GREETING: dict[str, Any] = {
    "summary": "Check that the endpoint is up",
    "responses": {
        "200": {
            "description": "Ready for POST",
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["status"],
                        "properties": {"status": {"type": "string"}},
                    }
                }
            },
        }
    },
}


PAGES = {
    "200": "An HTML page",
    "404": "An HTML page: the link is not one of ours",
    "503": "An HTML page: the database is unavailable",
}


def describe_page(summary: str) -> dict[str, Any]:
    html = {"text/html": {"schema": {"type": "string"}}}
    answers = {status: {"description": what, "content": html} for status, what in PAGES.items()}
    return {"summary": summary, "responses": answers}


UNSUBSCRIBE = {
    "parameters": [{"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}],
    "get": describe_page("Asks a member whether to stop; changes nothing"),
    "post": describe_page("No more messages to this member (RFC 8058)"),
}


def describe_webhooks(app: FastAPI) -> None:
    """Adds them to the app's OpenAPI description."""
    generate = app.openapi

    def with_webhooks() -> dict[str, Any]:
        if not app.openapi_schema:
            schema = generate()
            schema["paths"][FAILED_PATH] = {
                "post": operation("A failed payment, by hand", FLAT),
                "get": GREETING,
            }
            schema["paths"][EVENTS_PATH] = {
                "post": operation("An event from Whop", ENVELOPE),
                "get": GREETING,
            }
            schema["paths"][MAIL_EVENTS_PATH] = {
                "post": operation(
                    "Email events from SendGrid", MAIL_EVENTS, MAIL_SIGNATURE, MAIL_ANSWERS
                ),
                "get": GREETING,
            }
            schema["paths"][UNSUBSCRIBE_PATH] = UNSUBSCRIBE
        return app.openapi_schema or {}

    app.openapi = with_webhooks  # type: ignore[method-assign]


def operation(
    summary: str,
    body: dict[str, Any],
    headers: list[dict[str, Any]] = SIGNATURE,
    answers: Mapping[str, str] = ANSWERS,
) -> dict[str, Any]:
    responses: dict[str, Any] = {
        status: {
            "description": meaning,
            "content": {"application/json": {"schema": answer_schema(status)}},
        }
        for status, meaning in answers.items()
    }
    return {
        "summary": summary,
        "parameters": headers,
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": responses,
    }


def answer_schema(status: str) -> dict[str, Any]:
    field = "status" if status == "200" else "detail"
    return {"type": "object", "required": [field], "properties": {field: {"type": "string"}}}
