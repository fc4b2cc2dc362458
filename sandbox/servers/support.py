"""Whop's support chat: one channel per member and account, and its messages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.model.people import identifier
from sandbox.model.records import Membership
from sandbox.model.times import iso, sortable, utc
from sandbox.state.store import MEMBERSHIP, Missing
from sandbox.world.world import World

OF_USER = """
select document from memberships where account_id = ?
and (json_extract(document, '$.user_id') = ? or json_extract(document, '$.username') = ?)
order by created_at, id
"""


@dataclass(frozen=True)
class Chat:
    """One member's channel. Oldest message first."""

    channel_id: str
    name: str
    seller: str
    messages: tuple[tuple[datetime, str], ...]


class Support:
    def __init__(self, world: World) -> None:
        self.world, self.store = world, world.store

    def open(self, account_id: str, user_id: str, now: datetime) -> dict[str, Any]:
        """The existing channel, or a new one. Raises Missing."""
        member = self.find_memberships(account_id, user_id)[0]
        channel_id = identifier("feed", account_id, member.user_id)
        self.store.rows(
            "insert into channels values (?, ?, ?, ?) on conflict do nothing",
            channel_id,
            account_id,
            member.user_id,
            sortable(utc(now)),
        )
        return {
            "id": channel_id,
            "account_id": account_id,
            "company_id": account_id,
            "custom_name": None,
            "customer_user": describe_person(member.user_id, member.name, member.username),
            "last_message": None,
            "last_message_at": self.find_last_message_at(channel_id),
            "needs_reply": False,
            "participated": None,
            "resolved_at": None,
            "unread": None,
        }

    def write(self, channel_id: str, content: str, now: datetime) -> dict[str, Any]:
        """Members read it at once and react as they do to an email. Raises Missing."""
        found = self.store.row("select account_id, user_id from channels where id = ?", channel_id)
        if not found:
            raise Missing(channel_id)
        account_id, user_id = found
        number = self.store.next_number("chat_messages")
        message_id = identifier("post", self.world.seed, number, length=22)
        self.store.rows(
            "insert into chat_messages (id, channel_id, at, content) values (?, ?, ?, ?)",
            message_id,
            channel_id,
            sortable(utc(now)),
            content,
        )
        for membership in self.find_memberships(account_id, user_id):
            for payment in self.store.payments_of(membership.id, "open"):
                self.world.mail_arrives(payment.id, now)
        return self.describe_message(message_id, content, account_id, utc(now))

    def chats(self) -> list[Chat]:
        """Channels with messages, the latest message first."""
        sql = (
            "select id, account_id, user_id from channels join"
            " (select channel_id, max(number) as newest from chat_messages group by channel_id)"
            " on channel_id = id order by newest desc"
        )
        return [self.read_chat(*found) for found in self.store.rows(sql)]

    def read_chat(self, channel_id: str, account_id: str, user_id: str) -> Chat:
        sql = "select at, content from chat_messages where channel_id = ? order by number"
        return Chat(
            channel_id,
            self.find_memberships(account_id, user_id)[0].name,
            self.world.shapes.company(account_id).title,
            tuple(
                (datetime.fromisoformat(at), content)
                for at, content in self.store.rows(sql, channel_id)
            ),
        )

    def find_memberships(self, account_id: str, user_id: str) -> list[Membership]:
        """By user id or user name; Whop accepts either. Raises Missing."""
        found = self.store.rows(OF_USER, account_id, user_id, user_id)
        if not found:
            raise Missing(user_id)
        return [MEMBERSHIP.validate_json(document) for (document,) in found]

    def find_last_message_at(self, channel_id: str) -> str | None:
        sql = "select max(at) from chat_messages where channel_id = ?"
        (at,) = self.store.row(sql, channel_id)
        return iso(datetime.fromisoformat(at)) if at else None

    def describe_message(
        self, message_id: str, content: str, account_id: str, at: datetime
    ) -> dict[str, Any]:
        """Whop does not document who the author is; here it is the account."""
        seller = self.world.shapes.company(account_id)
        return {
            "id": message_id,
            "content": content,
            "created_at": iso(at),
            "updated_at": iso(at),
            "is_edited": False,
            "is_pinned": False,
            "mentions": [],
            "mentions_everyone": False,
            "message_type": "regular",
            "poll": None,
            "poll_votes": [],
            "reaction_counts": [],
            "replying_to_message_id": None,
            "user": describe_person(identifier("user", account_id), seller.title, seller.route),
            "view_count": None,
        }


def describe_person(user_id: str, name: str, username: str) -> dict[str, Any]:
    return {"id": user_id, "name": name, "username": username}
