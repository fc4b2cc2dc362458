"""Whop's idempotency keys: a request is served once, and its answer is kept for 24 hours."""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from sandbox.model.times import sortable
from sandbox.state.store import Store
from sandbox.wire.exchange import Answer, ApiError, Request, bad_request
from sandbox.wire.versions import HEADER

KEPT = timedelta(hours=24)
LONGEST_KEY = 255


class Idempotency:
    def __init__(self, store: Store) -> None:
        self.store = store

    def begin(self, request: Request, key: str, now: datetime) -> Answer | None:
        """The stored answer to repeat. None: serve the request; its key is now taken.

        The key stays taken even if the server breaks before the answer is stored. Whop does the
        same: it refuses rather than charge twice. Raises ApiError.
        """
        if len(key.encode()) > LONGEST_KEY:
            raise bad_request(
                "parameter_invalid", f"At most {LONGEST_KEY} bytes are allowed", "Idempotency-Key"
            )
        found = self.find_kept(request.bearer, key, now)
        if found is None:
            self.reserve(request, key, now)
            return None
        known, status, headers, body = found
        if known != make_fingerprint(request):
            raise bad_request(
                "idempotency_key_mismatch", "This Idempotency-Key was used for a different request"
            )
        if status is None:
            raise ApiError(
                409,
                "conflict",
                "A request with this Idempotency-Key is still in progress",
                "idempotency_request_in_progress",
            )
        return Answer(status, {**json.loads(headers), "idempotent-replayed": "true"}, body)

    def reserve(self, request: Request, key: str, now: datetime) -> None:
        self.store.rows(
            "insert or replace into idempotency (caller, key, fingerprint, started_at)"
            " values (?, ?, ?, ?)",
            request.bearer,
            key,
            make_fingerprint(request),
            sortable(now),
        )

    def find_kept(self, caller: str, key: str, now: datetime) -> Any:
        return self.store.row(
            "select fingerprint, status, headers, body from idempotency"
            " where caller = ? and key = ? and started_at > ?",
            caller,
            key,
            sortable(now - KEPT),
        )

    def finish(self, request: Request, key: str, answer: Answer) -> None:
        self.store.rows(
            "update idempotency set status = ?, headers = ?, body = ? where caller = ? and key = ?",
            answer.status,
            json.dumps(dict(answer.headers)),
            answer.body,
            request.bearer,
            key,
        )


def make_fingerprint(request: Request) -> str:
    parts = [
        request.method,
        request.path,
        sorted(request.query.items()),
        request.headers.get(HEADER),
        request.body.hex(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
