"""Ten thousand broken, forged and absurd requests: a clear answer each, and no figure moves."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from db.models import MailEvent, Message, Payment, Suppression
from db.reporting.figures import Summary
from db.reporting.summary import summarize
from db.session import SessionFactory
from tests.factories import (
    COMPANY,
    NOW,
    SECRET,
    encode,
    event,
    iso,
    money,
    paid_data,
    payment_data,
    sign,
)
from tests.mail_service import MailReceiver, add_message, mail_event, sign_events
from tests.soak import at_length, choose_seed
from webhook.app import create_app
from webhook.openapi import MAIL_EVENTS_PATH
from webhook.settings import WebhookSettings

REQUESTS, BATCH = at_length(10_000), 100
PATHS = ("/webhook/whop", "/webhook/payment_failed")
KNOWN = [f"pay_known_{number}" for number in range(12)]
UNKNOWN = [f"pay_new_{number}" for number in range(12)]


@dataclass(frozen=True)
class Sent:
    method: str
    path: str
    content: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    query: bytes = b""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


@dataclass(frozen=True)
class Books:
    """All that must not move: the company's figures, and every payment and refund as it stands."""

    summary: Summary
    payments: dict[str, str]
    refunds: dict[str, str]
    last_event: int


@pytest.fixture
def apps(engine: Engine) -> Iterator[dict[str, Any]]:
    """In production; in development without a secret; in development with one."""
    production = WebhookSettings(
        _env_file=None,
        environment="production",
        whop_webhook_secret=SecretStr(SECRET),
        api_token=SecretStr("t0ken"),
    )
    with_secret = production.model_copy(update={"environment": "development"})
    empty = {"whop_webhook_secret": SecretStr(""), "api_token": SecretStr("")}
    without = with_secret.model_copy(update=empty)
    apps = {
        name: create_app(chosen, engine, lambda: NOW)
        for name, chosen in (
            ("production", production),
            ("development", without),
            ("secret", with_secret),
        )
    }
    for app in apps.values():
        app.state.group_commit.start()
    yield apps
    for app in apps.values():
        app.state.group_commit.stop()


@pytest.fixture
def company(apps: dict[str, Any]) -> None:
    """Known rows: some open, some paid, one with money given back."""
    told = [event(data=payment_data(id=payment_id)) for payment_id in KNOWN]
    told += [event("payment.succeeded", paid_data(id=payment_id)) for payment_id in KNOWN[:4]]
    told += [event("refund.created", refund_data())]
    for content in told:
        body = encode(content)
        sent = Sent("POST", PATHS[0], body, raw(sign(body)))
        assert [answer.status for answer in send(apps["production"], [sent])] == [200]


def refund_data() -> dict[str, Any]:
    return {
        "id": "rf_1",
        "payment_id": KNOWN[0],
        "amount": money("9.00"),
        "status": "succeeded",
        "updated_at": iso(NOW),
    }


def raw(headers: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((name.encode(), value.encode()) for name, value in headers.items())


async def call(app: Any, sent: Sent) -> Answer:
    """As a server would hand it over, byte for byte: a client would mend some of it."""
    half = len(sent.content) // 2
    parts = [(sent.content[:half], True), (sent.content[half:], False)]
    messages = iter([{"type": "http.request", "body": b, "more_body": m} for b, m in parts])
    got: list[Any] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        got.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": sent.method,
        "scheme": "http",
        "path": sent.path,
        "raw_path": sent.path.encode(),
        "query_string": sent.query,
        "root_path": "",
        "headers": list(sent.headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)  # an exception in the app is raised here
    return Answer(got[0]["status"], b"".join(message.get("body", b"") for message in got[1:]))


def send(app: Any, requests: list[Sent]) -> list[Answer]:
    async def send_all() -> list[Answer]:
        return await asyncio.gather(*(call(app, sent) for sent in requests))

    return asyncio.run(send_all())


def read_books(session: Session) -> Books:
    session.rollback()
    rows: dict[str, dict[str, str]] = {
        table: dict(session.execute(text(f"select {key}, md5({table}::text) from {table}")).all())
        for table, key in (("payments", "payment_id"), ("refunds", "refund_id"))
    }
    last = session.scalar(text("select coalesce(max(id), 0) from webhook_events"))
    return Books(summarize(session, COMPANY, NOW), **rows, last_event=last or 0)


def check_answer(sent: Sent, answer: Answer) -> None:
    assert answer.status < 500, (sent, answer)
    said = json.loads(answer.body)
    if answer.status != 200:
        assert isinstance(said["detail"], str), (sent, said)
        assert said["detail"], sent
    elif sent.method == "POST":
        assert said == {"status": "stored"}
    else:
        assert said.keys() & {"status", "payments", "total_failed"}


def check_books(session: Session, before: Books, accepted: int) -> Books:
    """Only what was accepted may have changed anything, and nothing but what it is about."""
    after = read_books(session)
    query = (
        "select type, payment_id, payload->'data'->>'id' from webhook_events"
        " where id > :last and error is null"
    )
    events = session.execute(text(query), {"last": before.last_event}).all()
    assert len(events) <= accepted
    if not events:
        assert (after.summary, after.payments) == (before.summary, before.payments)
        assert after.refunds == before.refunds
        return after
    about = {payment_id for _, payment_id, _ in events}
    ended = [ident for kind, _, ident in events if kind == "membership.deactivated"]
    query = "select payment_id from payments where membership_id = any(:ended)"
    about |= set(session.scalars(text(query), {"ended": ended}))
    changed = {key for key in after.payments if after.payments[key] != before.payments.get(key)}
    assert changed <= about
    assert before.payments.keys() <= after.payments.keys()
    return after


# --- what is sent ------------------------------------------------------------------------------


def draw_valid(rng: random.Random) -> Any:
    """A delivery that makes sense, about a payment that is known or is not."""
    payment_id = rng.choice(KNOWN + UNKNOWN)
    failed = payment_data(id=payment_id, membership_id=f"mem_{rng.randrange(20)}")
    legacy = {
        "id": payment_id,
        "status": "open",
        "total": 49.1,
        "usd_total": 49.1,
        "last_payment_attempt": iso(NOW),
        "payments_failed": 2,
        "user": {"id": "user_1", "email": "jo@example.com"},
        "membership": {"id": "mem_9"},
        "company": {"id": COMPANY},
    }
    flat = {"payment_id": payment_id, "member_id": "user45", "amount": 49.99, "reason": "x"}
    return rng.choice(
        [
            event(data=failed),
            event("payment.succeeded", paid_data(id=payment_id)),
            event("payment.pending", failed | {"status": "pending"}),
            event("payment.canceled", failed | {"status": "void"}),
            event("payment.requires_action", failed),
            event("refund.created", refund_data() | {"payment_id": payment_id}),
            event("membership.deactivated", {"id": f"mem_{rng.randrange(20)}"}),
            event("course.completed", {"id": "x"}),
            {"id": "msg_x", "type": "payment.failed", "company_id": COMPANY, "data": legacy},
            flat | {"company_id": COMPANY},
            flat,
        ]
    )


DEEP = "put something deep here"


def nest(rng: random.Random) -> bytes:
    depth = rng.choice([3, 50, 300, 600, 900, 3000])
    around = rng.choice([(b"[", b"]"), (b'{"a":', b"}")])
    return around[0] * depth + rng.choice([b"1", rb'"\u0000"', rb'"\ud800"']) + around[1] * depth


NASTY: list[Any] = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**40, 10**4000, 0.1, -0.0),
    *(1e-300, 1e300, 1e16, "", " ", "0", "-1", "49.00", "1e5", "1e999999999", "NaN", "Infinity"),
    *("-Infinity", "٤٩", "1_000", "0x10", "1" * 400, "0." + "0" * 400 + "1", "9" * 20 + ".99"),
    *("\x00", "a\x00b", "\ud800", "\udfff\ud800", "\U0001f4a3", "\u202e", "e\u0301", "\ufeff"),
    *(
        "\u0131",
        "\u0130",
        "ß" * 300,
        "x" * 499,
        "x" * 501,
        "x" * 5000,
        "../../etc/passwd",
        "pay 1",
        "pay_1\n",
    ),
    *("'; drop table payments; --", "{{7*7}}", "%s%n", "<script>", "biz_other", COMPANY, KNOWN[0]),
    *(
        "usd",
        "eur",
        "jpy",
        "paid",
        "open",
        "void",
        "pending",
        "payment.succeeded",
        "refund.created",
    ),
    *("2026-11-20T09:15:04Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-W01"),
    *("2026-02-30", "+010000-01-01", 1e11, 253402300800, -62135596801, "javascript:alert(1)"),
    *([], [[]], {}, [None], {"amount": None}, {"amount": {"amount": "1"}}, {"": ""}, {"id": []}),
    *({"amount": "1.00", "currency": None}, {"card": []}, {"email": 5}, [{"id": "pay_1"}]),
]


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    keys = value.keys() if isinstance(value, dict) else range(len(value) if is_list(value) else 0)
    for key in keys:
        yield from walk(value[key], (*path, key))


def is_list(value: Any) -> bool:
    return isinstance(value, list)


def set_at(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    owner = content
    for key in path[:-1]:
        owner = owner[key]
    owner[path[-1]] = value
    return content


def get_at(content: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        content = content[key]
    return content


def spoil_content(rng: random.Random, content: Any) -> Any:
    """One to three things wrong with what it says."""
    content = deepcopy(content)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        paths = list(walk(content))
        path, other = rng.choice(paths[1:] or paths), rng.choice(paths)
        match rng.randrange(6):
            case 0 | 1 | 2:
                content = set_at(content, path, deepcopy(rng.choice(NASTY)))
            case 3 if path:
                owner = get_at(content, path[:-1])
                del owner[path[-1]]
            case 4:  # two fields swapped
                here, there = deepcopy(get_at(content, path)), deepcopy(get_at(content, other))
                content = set_at(content, path, there)
                if other in set(walk(content)):
                    content = set_at(content, other, here)
            case 5:
                content = set_at(content, path, DEEP)
            case _:
                content = [content]
    return content


def spoil_bytes(rng: random.Random, body: bytes) -> bytes:
    at = rng.randrange(len(body) + 1)
    match rng.randrange(14):
        case 0 | 1 if body:
            spot = rng.randrange(len(body))
            flipped = bytes([body[spot] ^ 1 << rng.randrange(8)])
            return body[:spot] + flipped + body[spot + 1 :]
        case 2:
            return body[:at]
        case 3:
            return body[:at] + rng.randbytes(rng.randrange(1, 9)) + body[at:]
        case 4:
            return body[:at] + b"\x00" + body[at:]
        case 5:  # a key twice: the first must not be the one that is checked
            return body.replace(b"{", b'{"type":"x","id":7,"data":3,"total":"-5","amount":-5,', 1)
        case 6:
            return body[:-1] + b',"amount":1,"data":{"id":"pay_1","total":1},"type":"x"}'
        case 7:
            return body.decode(errors="replace").encode(rng.choice(["utf-16", "utf-32", "utf-7"]))
        case 8:
            return b"\xef\xbb\xbf" + body
        case 9:
            number = rng.choice([b"1e999999", b"-1e999999", b"1e-999999", b"9" * 4000, b"9" * 5000])
            return body.replace(b"1", number, 1)
        case 10:
            return body.replace(b"null", rng.choice([b"NaN", b"Infinity", b"nul", b"undefined"]))
        case 11:
            deep = rng.choice([b"[", b'{"a":', b"[["])
            return body[:at] + deep * rng.choice([10, 1000, 50_000]) + body[at:]
        case 12:
            return rng.randbytes(rng.randrange(300))
        case _:
            return rng.choice([b"", b"null", b"0", b'""', b"[]", b"{}", b" ", body * 2, body * 300])


HEADER_VALUES = [
    *(b"", b" ", b"0", b"-1", b"1e9", b"99999999999999999999", b"\x00", b"\xff\xfe", b"v1,", b","),
    *(b"v1,AAAA", b"v1,\xc2\xa7", b"v1," + b"A" * 9000, b"v1a,x v2,y", b"msg_" + b"9" * 300),
    *(b"application/json", b"text/plain", b"application/json; charset=utf-16", b"multipart/form"),
    *(b"application/problem+json", b"gzip", b"chunked", b"999999999", b"Bearer t0ken", b"%00"),
    *(str(int(NOW.timestamp()) + late).encode() for late in (-301, -300, 300, 301)),
]
HEADER_NAMES = [
    *(b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"content-type"),
    *(b"content-length", b"content-encoding", b"authorization", b"x-forwarded-for", b"accept"),
    *(b"x-\xff", b"cookie", b"host", b"expect", b"x" * 5000),
]


def spoil_headers(rng: random.Random, sent: Sent) -> Sent:
    headers = list(sent.headers)
    for _ in range(rng.choice([1, 1, 2, 4])):
        name, value = rng.choice(HEADER_NAMES), rng.choice(HEADER_VALUES)
        match rng.randrange(4):
            case 0:
                headers = [header for header in headers if header[0] != name]
            case 1:
                headers = [header for header in headers if header[0] != name] + [(name, value)]
            case 2:  # the same header twice
                headers.insert(rng.randrange(len(headers) + 1), (name, value))
            case _ if headers:
                spot = rng.randrange(len(headers))
                name, value = headers[spot]
                headers[spot] = (name, spoil_bytes(rng, value)[:9000])
    return replace(sent, headers=tuple(headers))


def draw_post(rng: random.Random, content: Any, *, signed: bool) -> Sent:
    body = json.dumps(content).encode()
    if rng.random() < 0.3:
        body = json.dumps(content, ensure_ascii=False).encode("utf-8", "surrogatepass")
    body = body.replace(json.dumps(DEEP).encode(), nest(rng))
    headers = sign(body) if signed else {"content-type": "application/json"}
    return Sent("POST", rng.choice(PATHS), body, raw(headers))


def draw_forged(rng: random.Random) -> Sent:
    """Signed, and then changed."""
    sent = draw_post(rng, draw_valid(rng), signed=True)
    if rng.random() < 0.6:
        return replace(sent, content=spoil_bytes(rng, sent.content))
    return spoil_headers(rng, sent)


def draw_nonsense(rng: random.Random) -> Sent:
    """Signed by the one who knows the secret, and wrong in itself."""
    sent = draw_post(rng, spoil_content(rng, draw_valid(rng)), signed=True)
    if rng.random() < 0.4:
        body = spoil_bytes(rng, sent.content)
        sent = replace(sent, content=body, headers=raw(sign(body)))
    return sent


def draw_unsigned(rng: random.Random) -> Sent:
    sent = draw_post(rng, spoil_content(rng, draw_valid(rng)), signed=False)
    if rng.random() < 0.4:
        sent = replace(sent, content=spoil_bytes(rng, sent.content))
    return spoil_headers(rng, sent) if rng.random() < 0.4 else sent


QUERY_NAMES = ["company_id", "status", "limit", "cursor", "", "limit[]", "comp\x00any"]
QUERY_VALUES = [
    *("", "0", "1", "200", "201", "-1", "1e3", "9" * 30, "null", "\x00", "\ud7ff", "é", "paid"),
    *(
        COMPANY,
        "biz_other",
        "../x",
        "failed",
        "MjAyNi0xMS0yMFQwOToxNTowNHwx",
        "x" * 300,
        "' or 1=1",
    ),
    *("MjAyNi0xMS0yMFQwOToxNTowNCswMDowMHw5OTk5OTk5OTk5OTk5OTk5OTk5", "8J+SqQ==", "====", "a|b"),
    *("OTk5OS0xMi0zMVQyMzo1OTo1OS0xNDowMHwx", "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMHwx"),
]


def draw_read(rng: random.Random) -> Sent:
    path = rng.choice(["/stats/summary", "/payments/list", "/healthz", "/readyz"])
    pairs = [(rng.choice(QUERY_NAMES), rng.choice(QUERY_VALUES)) for _ in range(rng.randrange(5))]
    query = urlencode(pairs).encode()
    if rng.random() < 0.3:
        query += rng.choice(
            [b"&%ff=%fe", b"&company_id=%00", b"&&==&", b"&limit=%", b"#x", b"\xff\x00"]
        )
    sent = Sent("GET", path, headers=((b"authorization", b"Bearer t0ken"),), query=query)
    return spoil_headers(rng, sent) if rng.random() < 0.2 else sent


DRAWS: list[tuple[str, Callable[[random.Random], Sent]]] = [
    ("production", draw_forged),
    ("production", draw_nonsense),
    ("development", draw_unsigned),
    ("production", draw_forged),
    ("production", draw_nonsense),
    ("secret", draw_unsigned),
    ("secret", draw_forged),
    ("development", draw_nonsense),
    ("production", draw_unsigned),
    ("production", draw_read),
]


@pytest.mark.soak
@pytest.mark.usefixtures("company")
def test_ten_thousand_bad_requests_are_answered_and_move_no_figure(
    apps: dict[str, Any], session: Session
):
    rng = random.Random(choose_seed(20_26))
    books = read_books(session)
    statuses: Counter[int] = Counter()
    for number in range(REQUESTS // BATCH):
        app, draw = DRAWS[number % len(DRAWS)]
        requests = [draw(rng) for _ in range(BATCH)]
        answers = send(apps[app], requests)
        for sent, answer in zip(requests, answers, strict=True):
            check_answer(sent, answer)
        batch = Counter(answer.status for answer in answers)
        if (app, draw) == ("production", draw_unsigned):
            assert batch[200] == 0
        books = check_books(session, books, 0 if draw is draw_read else batch[200])
        statuses += batch
    assert sum(statuses.values()) == REQUESTS
    assert statuses.keys() >= {200, 400, 401, 413, 415, 422}  # no kind of refusal went untried
    assert sum(statuses.values()) - statuses[200] > REQUESTS // 2


@pytest.mark.parametrize(
    "body",
    [
        b'{"amount": 1e99999999999999999999}',
        b"[" * 600 + rb'"\u0000"' + b"]" * 600,
        b'{"a":' * 900 + rb'"\ud800"' + b"}" * 900,
    ],
    ids=["an exponent beyond Decimal's", "deep and escaped", "deeper and escaped"],
)
def test_json_beyond_what_can_be_read_is_refused(apps: dict[str, Any], session: Session, body):
    before = read_books(session)
    sent = Sent("POST", PATHS[0], body, raw(sign(body)))
    for app in apps.values():
        answer = send(app, [sent])[0]
        assert 400 <= answer.status < 500
        check_answer(sent, answer)
    check_books(session, before, 0)


# --- what hypothesis thinks of -----------------------------------------------------------------

words = st.text(max_size=30) | st.sampled_from(["type", "data", "id", "total", "amount", COMPANY])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | words
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6)
)
envelopes = st.fixed_dictionaries(
    {
        "type": st.sampled_from(["payment.failed", "payment.succeeded", "refund.created"]) | words,
        "account_id": st.just(COMPANY) | documents,
        "data": st.fixed_dictionaries(
            {"id": st.sampled_from(KNOWN) | documents, "total": documents},
            optional=dict.fromkeys(
                ["status", "updated_at", "currency", "user", "payment_id", "amount"], documents
            ),
        )
        | documents,
    }
)


@pytest.mark.usefixtures("company")
@settings(
    max_examples=at_length(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(contents=st.lists(documents | envelopes, min_size=5, max_size=10))
def test_whatever_json_is_signed_is_answered_and_moves_only_what_it_is_about(
    apps: dict[str, Any], sessions: SessionFactory, contents: list[Any]
):
    requests = [draw_post(random.Random(1), content, signed=True) for content in contents]
    with sessions() as session:
        before = read_books(session)
        answers = send(apps["production"], requests)
        for sent, answer in zip(requests, answers, strict=True):
            check_answer(sent, answer)
        check_books(session, before, sum(answer.status == 200 for answer in answers))


# --- events about mails ------------------------------------------------------------------------


def draw_mail_batch(rng: random.Random, message_id: int) -> list[Any]:
    kinds = [
        "processed",
        "delivered",
        "open",
        "click",
        "bounce",
        "dropped",
        "spamreport",
        "deferred",
    ]
    return [
        mail_event(rng.choice(kinds), message_id, reason="Invalid", type="bounce")
        for _ in range(rng.randrange(1, 4))
    ]


def draw_mail_post(rng: random.Random, message_id: int, *, forged: bool) -> Sent:
    content = draw_mail_batch(rng, message_id)
    body = json.dumps(content if forged else spoil_content(rng, content)).encode()
    body = body.replace(json.dumps(DEEP).encode(), nest(rng))
    if not forged and rng.random() < 0.4:
        body = spoil_bytes(rng, body)
    sent = Sent("POST", MAIL_EVENTS_PATH, body, raw(sign_events(body)))
    if not forged:
        return sent
    if rng.random() < 0.6:
        return replace(sent, content=spoil_bytes(rng, body))
    value = rng.choice([*HEADER_VALUES, b"MEUCIQ==", b"A" * 96])
    header = rng.choice([name for name, _ in sent.headers])
    return replace(sent, headers=tuple((n, value if n == header else v) for n, v in sent.headers))


@pytest.mark.soak
def test_bad_events_about_mails_are_answered_and_move_only_their_own_message(
    engine: Engine, session: Session
):
    app = MailReceiver(engine).app
    rng = random.Random(choose_seed(20_27))
    message_id, other = add_message(session), add_message(session, customer_email="al@example.com")
    untouched = session.get_one(Message, other)
    statuses: Counter[int] = Counter()
    told = 0
    for number in range(at_length(24)):
        forged = number % 2 == 0
        requests = [draw_mail_post(rng, message_id, forged=forged) for _ in range(50)]
        before = session.scalar(select(func.count()).select_from(MailEvent))
        answers = send(app, requests)
        for sent, answer in zip(requests, answers, strict=True):
            check_answer(sent, answer)
        session.rollback()
        told = session.scalar(select(func.count()).select_from(MailEvent)) or 0
        if not any(answer.status == 200 for answer in answers):
            assert told == before
        statuses += Counter(answer.status for answer in answers)
    assert statuses.keys() >= {200, 400, 401, 415, 422}
    assert told > 100
    session.refresh(untouched)
    assert (untouched.delivered_at, untouched.opened_at, untouched.delivery_failure) == (
        None,
        None,
        None,
    )
    assert set(session.scalars(select(MailEvent.message_id))) == {message_id}
    assert set(session.scalars(select(Suppression.address))) == {"jo@example.com"}
    assert {p.status for p in session.scalars(select(Payment))} == {"pending_retry"}
