"""Messages to members and notices to creators, with what belongs to them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import Base, Time, Word, one_of
from recovery.delivery import DeliveryFailure, MailEventKind
from recovery.status import Channel, MessageState, NoticeChannel, NoticeKind, Step


class Message(Base):
    """The outbox to members: queued when a message is due, sent by the daemon at most once."""

    __tablename__ = "messages"
    __table_args__ = (
        one_of("state", MessageState),
        one_of("step", Step),
        one_of("channel", Channel),
        one_of("refused_by", Channel),
        one_of("delivery_failure", DeliveryFailure),
        UniqueConstraint("payment_id", "step", "channel"),
        Index("ix_messages_due", "due_at", postgresql_where=text("state = 'queued'")),
        Index("ix_messages_in_hand", "sending_at", postgresql_where=text("state = 'sending'")),
        Index(
            "ix_messages_company_dispatched",
            "company_id",
            "dispatched_at",
            postgresql_where=text("dispatched_at is not null"),
        ),
        Index(
            "ix_messages_company_sent",
            "company_id",
            "sent_at",
            postgresql_where=text("sent_at is not null"),
        ),
        Index(
            "ix_messages_provider",
            "provider_id",
            postgresql_where=text("provider_id is not null"),
        ),
        Index("ix_messages_joined_to", "joined_to", postgresql_where=text("joined_to is not null")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[str] = mapped_column(ForeignKey("payments.payment_id"))
    company_id: Mapped[str] = mapped_column(Text)
    step: Mapped[Step] = mapped_column(Word(Step))
    channel: Mapped[Channel] = mapped_column(Word(Channel))
    state: Mapped[MessageState] = mapped_column(Word(MessageState))
    due_at: Mapped[datetime] = mapped_column(Time)
    sending_at: Mapped[datetime | None] = mapped_column(Time)
    dispatched_at: Mapped[datetime | None] = mapped_column(
        Time, comment="committed just before the send; null means nothing has left"
    )
    tries: Mapped[int] = mapped_column(server_default="0", default=0)
    sent_at: Mapped[datetime | None] = mapped_column(Time)
    provider_id: Mapped[str | None] = mapped_column(Text)
    refused_by: Mapped[Channel | None] = mapped_column(
        Word(Channel),
        comment="the channel that does not reach the member; null: none was tried that does not",
    )
    detail: Mapped[str | None] = mapped_column(Text)
    joined_to: Mapped[int | None] = mapped_column(
        ForeignKey("messages.id"), comment="the message that was sent for this one too"
    )
    delivered_at: Mapped[datetime | None] = mapped_column(Time)
    opened_at: Mapped[datetime | None] = mapped_column(Time)
    clicked_at: Mapped[datetime | None] = mapped_column(Time)
    delivery_failure: Mapped[DeliveryFailure | None] = mapped_column(Word(DeliveryFailure))
    delivery_failed_at: Mapped[datetime | None] = mapped_column(Time)


class MailEvent(Base):
    """The mail service's events about messages, each once."""

    __tablename__ = "mail_events"
    __table_args__ = (one_of("kind", MailEventKind),)

    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), index=True)
    company_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[MailEventKind] = mapped_column(Word(MailEventKind))
    happened_at: Mapped[datetime] = mapped_column(Time)
    received_at: Mapped[datetime] = mapped_column(Time)


class Suppression(Base):
    """An address, in lower case, that gets no more emails of this company."""

    __tablename__ = "suppressions"
    __table_args__ = (one_of("reason", DeliveryFailure),)

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    address: Mapped[str] = mapped_column(Text, primary_key=True)
    reason: Mapped[DeliveryFailure] = mapped_column(Word(DeliveryFailure))
    since: Mapped[datetime] = mapped_column(Time)


class AccountRefusal(Base):
    """An account of ours that may not send now (db/member_messages/account_refusals.py)."""

    __tablename__ = "account_refusals"
    __table_args__ = (one_of("channel", Channel),)

    channel: Mapped[Channel] = mapped_column(Word(Channel), primary_key=True)
    company_id: Mapped[str] = mapped_column(
        Text, primary_key=True, comment="empty: of all companies, as SendGrid's account is"
    )
    since: Mapped[datetime] = mapped_column(Time)
    try_at: Mapped[datetime] = mapped_column(
        Time, comment="when the next message tries whether it works again"
    )
    detail: Mapped[str] = mapped_column(Text)


class Template(Base):
    """A company's own text for one step, in place of ours."""

    __tablename__ = "templates"
    __table_args__ = (one_of("step", Step),)

    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"), primary_key=True)
    step: Mapped[Step] = mapped_column(Word(Step), primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    body_text: Mapped[str] = mapped_column(Text)
    body_html: Mapped[str] = mapped_column(Text)
    saved_at: Mapped[datetime] = mapped_column(Time)
    saved_by: Mapped[str] = mapped_column(Text)


class Notice(Base):
    """The outbox to creators: digests and posts, each trigger once per channel."""

    __tablename__ = "notices"
    __table_args__ = (
        one_of("state", MessageState),
        one_of("kind", NoticeKind),
        one_of("channel", NoticeChannel),
        UniqueConstraint("company_id", "kind", "trigger_key", "channel"),
        Index("ix_notices_due", "due_at", postgresql_where=text("state = 'queued'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    company_id: Mapped[str] = mapped_column(ForeignKey("companies.id"))
    kind: Mapped[NoticeKind] = mapped_column(Word(NoticeKind))
    trigger_key: Mapped[str] = mapped_column(
        Text, comment="a week, a payment, or the start of a problem"
    )
    channel: Mapped[NoticeChannel] = mapped_column(Word(NoticeChannel))
    state: Mapped[MessageState] = mapped_column(Word(MessageState))
    due_at: Mapped[datetime] = mapped_column(Time)
    sending_at: Mapped[datetime | None] = mapped_column(Time)
    sent_at: Mapped[datetime | None] = mapped_column(Time)
    detail: Mapped[str | None] = mapped_column(Text)
