"""Sends webhooks: each carries an object in the shape of the API."""

from datetime import datetime
from typing import Any

from sandbox.model.records import Dispute, DisputeAlert, Membership, Payment, Refund
from sandbox.model.switches import Switches
from sandbox.wire.shapes import Shapes
from sandbox.wire.webhooks import Outbox


class Announcer:
    def __init__(self, shapes: Shapes, outbox: Outbox, switches: Switches) -> None:
        self.shapes = shapes
        self.outbox = outbox
        self.switches = switches

    def payment(self, event: str, payment: Payment, at: datetime) -> None:
        described = self.shapes.payment(payment, self.switches.webhook_shape)
        self.announce(event, payment.account_id, described, at)

    def membership(self, event: str, membership: Membership, at: datetime) -> None:
        described = self.shapes.membership(membership, self.switches.webhook_shape)
        self.announce(event, membership.account_id, described, at)

    def refund(self, event: str, refund: Refund, at: datetime) -> None:
        described = self.shapes.refund(refund, self.switches.webhook_shape)
        self.announce(event, refund.account_id, described, at)

    def dispute(self, event: str, dispute: Dispute, at: datetime) -> None:
        described = self.shapes.dispute(dispute, self.switches.webhook_shape)
        self.announce(event, dispute.account_id, described, at)

    def dispute_alert(self, event: str, alert: DisputeAlert, at: datetime) -> None:
        described = self.shapes.dispute_alert(alert, self.switches.webhook_shape)
        self.announce(event, alert.account_id, described, at)

    def announce(
        self, event: str, account_id: str, described: dict[str, Any], at: datetime
    ) -> None:
        shape = self.switches.webhook_shape
        self.outbox.announce(event, account_id, described, shape, at)
