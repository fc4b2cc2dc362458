"""Tells the receiver what happened: the thing as the API shows it, in a webhook's envelope."""

from datetime import datetime
from typing import Any

from sandbox.model.records import Dispute, DisputeAlert, Membership, Payment, Refund
from sandbox.model.switches import Switches
from sandbox.wire.shapes import Shapes
from sandbox.wire.webhooks import Outbox


class Announcer:
    def __init__(self, shapes: Shapes, outbox: Outbox, switches: Switches) -> None:
        self._shapes = shapes
        self._outbox = outbox
        self._switches = switches

    def payment(self, event: str, payment: Payment, at: datetime) -> None:
        described = self._shapes.payment(payment, self._switches.webhook_shape)
        self._announce(event, payment.account_id, described, at)

    def membership(self, event: str, membership: Membership, at: datetime) -> None:
        described = self._shapes.membership(membership, self._switches.webhook_shape)
        self._announce(event, membership.account_id, described, at)

    def refund(self, event: str, refund: Refund, at: datetime) -> None:
        described = self._shapes.refund(refund, self._switches.webhook_shape)
        self._announce(event, refund.account_id, described, at)

    def dispute(self, event: str, dispute: Dispute, at: datetime) -> None:
        described = self._shapes.dispute(dispute, self._switches.webhook_shape)
        self._announce(event, dispute.account_id, described, at)

    def dispute_alert(self, event: str, alert: DisputeAlert, at: datetime) -> None:
        described = self._shapes.dispute_alert(alert, self._switches.webhook_shape)
        self._announce(event, alert.account_id, described, at)

    def _announce(
        self, event: str, account_id: str, described: dict[str, Any], at: datetime
    ) -> None:
        shape = self._switches.webhook_shape
        self._outbox.announce(event, account_id, described, shape, at)
