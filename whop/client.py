"""The part of Whop's API that we use. A call that may charge is never repeated automatically."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx

from recovery.reports import DisputeReport, MembershipReport, PaymentReport, RefundReport
from whop import values
from whop.circuit import Circuit
from whop.errors import NoAnswerError
from whop.lists import (
    Page,
    ProductTitle,
    SavedCard,
    read_cards,
    read_granted,
    read_page,
    read_product,
)
from whop.memberships import MEMBERSHIPS_PAGE, read_dispute, read_membership
from whop.objects import read_payment, read_refund
from whop.rate_limit import RateLimiter
from whop.values import Json, PayloadError, ident, link, part, text
from whop.wire import Query, Wire, escape, write_time

# Items per page. 50 work for others (the limit is not documented), but pages twice as long cost the
# daemon six megabytes more.
PAGE = 25


@dataclass(frozen=True, slots=True)
class Membership:
    manage_url: str
    product_id: str | None
    product: str | None
    seller: str | None
    facts: MembershipReport


class WhopClient:
    """`clock` returns aware UTC times; it dates answers that contain no time.

    Every method raises WhopError. `circuit.down_since`: since when Whop has not answered.
    """

    def __init__(
        self,
        url: str,
        key: str,
        version: str,
        rate_limit: RateLimiter,
        clock: Callable[[], datetime],
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clock, self.circuit = clock, Circuit(clock)
        headers = {"Authorization": f"Bearer {key}", "Api-Version-Date": version}
        http = httpx.Client(base_url=url, transport=transport, headers=headers)
        self.wire = Wire(http, rate_limit, self.circuit, sleep)

    # --- payments ------------------------------------------------------------------------------

    def get_payment(self, payment_id: str, company_id: str) -> PaymentReport:
        answer = self.wire.read("payments.retrieve", f"/payments/{escape(payment_id)}")
        return self.read_answer(answer, company_id)

    def retry_payment(self, payment_id: str, company_id: str, key: str) -> PaymentReport:
        """Charges it again with one POST. The same key never charges twice (whop-api.md 2.8). An
        answer does not mean paid: the returned payment says so."""
        answer = self.wire.write(
            "payments.retry",
            "POST",
            f"/payments/{escape(payment_id)}/retry",
            headers={"Idempotency-Key": key},  # invariant 3: a charge carries its attempt's key
        )
        return self.read_answer(answer, company_id)

    def list_payments(
        self,
        company_id: str,
        *,
        status: str | None = None,
        billing_reason: str | None = None,
        created_after: datetime | None = None,
        oldest_first: bool = False,
        after: str | None = None,
        first: int = PAGE,
    ) -> Page[PaymentReport]:
        """Newest first by default. Without the permission Whop returns an empty list."""
        query: Query = {
            "account_id": company_id,
            "status": status,
            "billing_reason": billing_reason,
            "created_after": write_time(created_after),
            "order": "created_at" if oldest_first else None,
            "direction": "asc" if oldest_first else None,
            "after": after,
            "first": first,
        }
        answer = self.wire.read("payments.list", "/payments", query)
        return read_page(
            answer, lambda item: read_payment(item, self.date(item), company_id), after
        )

    def list_refunds(
        self, company_id: str, *, created_after: datetime | None = None, after: str | None = None
    ) -> Page[RefundReport]:
        query: Query = {
            "account_id": company_id,
            "created_after": write_time(created_after),
            "after": after,
            "first": PAGE,
        }
        answer = self.wire.read("refunds.list", "/refunds", query)
        return read_page(answer, lambda item: read_refund(item, self.date(item), company_id), after)

    def list_products(self, company_id: str, *, after: str | None = None) -> Page[ProductTitle]:
        query: Query = {"account_id": company_id, "after": after, "first": PAGE}
        answer = self.wire.read("products.list", "/products", query)
        return read_page(answer, read_product, after)

    # --- memberships and members ---------------------------------------------------------------

    def get_membership(self, membership_id: str, company_id: str) -> Membership:
        """Without the permission member:manage, `manage_url` is the general page."""
        path = f"/memberships/{escape(membership_id)}"
        answer = {**self.wire.read("memberships.retrieve", path), "id": membership_id}
        return Membership(
            manage_url=link(answer, "manage_url") or MEMBERSHIPS_PAGE,
            product_id=ident(answer, "product_id") or ident(part(answer, "product"), "id"),
            product=text(part(answer, "product"), "title"),
            seller=text(part(answer, "account"), "title") or text(part(answer, "company"), "title"),
            facts=read_membership(answer, self.date(answer), company_id),
        )

    def list_memberships(
        self, company_id: str, status: str, *, after: str | None = None
    ) -> Page[MembershipReport]:
        """`status`: one of Whop's filters; `past_due` leaves out those that are canceled,
        `paused` is a filter alone and no membership's status. Without the permission Whop returns
        an empty list, so what is not in it may be so all the same."""
        query: Query = {"account_id": company_id, "status": status, "after": after, "first": PAGE}
        answer = self.wire.read("memberships.list", "/memberships", query)
        return read_page(
            answer, lambda item: read_membership(item, self.date(item), company_id), after
        )

    def list_disputes(
        self,
        company_id: str,
        *,
        statuses: Sequence[str] | None = None,
        created_after: datetime | None = None,
        after: str | None = None,
    ) -> Page[DisputeReport]:
        """Without the permission Whop returns an empty list."""
        query: Query = {
            "account_id": company_id,
            "status": statuses,
            "created_after": write_time(created_after),
            "after": after,
            "first": PAGE,
        }
        answer = self.wire.read("disputes.list", "/disputes", query)
        return read_page(
            answer, lambda item: read_dispute(item, self.date(item), company_id), after
        )

    def change_card(self, membership_id: str, payment_method_id: str) -> None:
        """Renews with this card from now on, and charges a past-due payment to it at once.

        One PATCH without an idempotency key: if no answer comes, it may have charged
        (whop-api.md 2.6).
        """
        self.wire.write(
            "memberships.update",
            "PATCH",
            f"/memberships/{escape(membership_id)}",
            json={"payment_method_id": payment_method_id},
        )

    def list_saved_cards(self, member_id: str, company_id: str) -> tuple[SavedCard, ...]:
        """The cards that can still be charged, as far as Whop knows.

        Whop accepts a member or an account, not both; a member belongs to one account anyway.
        """
        query: Query = {"member_id": member_id, "broken": "false", "first": PAGE}
        return tuple(read_cards(self.wire.read("payment_methods.list", "/payment_methods", query)))

    def find_missing_permissions(self, company_id: str, actions: Iterable[str]) -> frozenset[str]:
        wanted = frozenset(actions)
        query = {"resource_id": company_id, "actions": ",".join(sorted(wanted))}
        answer = self.wire.read("permissions.list", "/permissions", query)
        return wanted.difference(read_granted(answer))

    # --- support chat --------------------------------------------------------------------------

    def open_support_chat(self, company_id: str, user_id: str) -> str:
        """The channel's id. Whop returns an existing channel, so asking twice is safe."""
        answer = self.wire.write(
            "support_channels.create",
            "POST",
            "/support_channels",
            json={"account_id": company_id, "user_id": user_id},
        )
        return require_id(answer)

    def send_chat_message(self, channel_id: str, content: str) -> str:
        """Sends Markdown, and returns the message's id.

        One POST without an idempotency key, since the endpoint is a legacy one (whop-api.md 1): if
        no answer comes, it may have been sent.
        """
        answer = self.wire.write(
            "messages.create",
            "POST",
            "/messages",
            json={"channel_id": channel_id, "content": content},
        )
        return require_id(answer)

    # --- reading -------------------------------------------------------------------------------

    def read_answer(self, answer: Json, company_id: str) -> PaymentReport:
        try:
            return read_payment(answer, self.date(answer), company_id)
        except PayloadError as error:
            raise NoAnswerError(f"Whop's answer cannot be read: {error}") from None

    def date(self, item: Json) -> datetime:
        now = self.clock()
        return min(values.time(item, "updated_at") or now, now)


def require_id(answer: Json) -> str:
    """The id of a new object. A message's may have characters that other ids never have."""
    found = text(answer, "id")
    if found is None:
        raise NoAnswerError("Whop's answer cannot be read: id: is missing")
    return found
