"""One word for each thing that people read: recovery/labels.py."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import StrEnum
from types import ModuleType

import pytest

from recovery import action_required, declines, delivery, labels, status

TABLES: dict[str, Mapping[StrEnum, str]] = {
    name: table
    for name, table in vars(labels).items()
    if name.isupper() and isinstance(table, dict)
}
# Nobody reads these: whatever is said about them is a sentence of its own.
UNREAD = {
    status.NoticeChannel,
    status.SyncError,
    action_required.Actor,
    delivery.DeliveryState,
}


def list_enums(module: ModuleType) -> set[type[StrEnum]]:
    found = (member for member in vars(module).values() if inspect.isclass(member))
    return {one for one in found if issubclass(one, StrEnum) and one.__module__ == module.__name__}


def find_enum(table: Mapping[StrEnum, str]) -> type[StrEnum]:
    kinds = {type(member) for member in table}
    assert len(kinds) == 1, kinds
    return kinds.pop()


@pytest.mark.parametrize("name", TABLES)
def test_every_member_has_a_label_and_none_shares_it(name: str) -> None:
    table = TABLES[name]
    assert set(table) == set(find_enum(table))
    assert len(set(table.values())) == len(table)


@pytest.mark.parametrize("name", TABLES)
def test_a_label_is_words_that_stand_by_themselves(name: str) -> None:
    for label in TABLES[name].values():
        assert label == label.strip()
        assert label[0].isupper()
        assert "_" not in label
        assert not label.endswith(".")


@pytest.mark.parametrize(
    "module", [status, delivery, declines, action_required], ids=lambda m: m.__name__
)
def test_whatever_is_read_has_its_table(module: ModuleType) -> None:
    labelled = {find_enum(table) for table in TABLES.values()}
    assert list_enums(module) - UNREAD <= labelled
    assert not UNREAD & labelled


def test_steps_alone_have_a_label_for_each_way_of_saying_them() -> None:
    tables = [labels.MESSAGES, labels.EMAILS, labels.CHAT_MESSAGES]
    enums = [find_enum(table) for table in TABLES.values()]
    assert sorted(one.__name__ for one in enums) == sorted(
        [*{one.__name__ for one in enums}, "Step", "Step"]
    )
    assert len({word for table in tables for word in table.values()}) == 3 * len(status.Step)


def test_a_step_is_named_by_its_channel() -> None:
    first = status.Step.PAYMENT_FAILED
    assert labels.name_message(first) == "First message"
    assert labels.name_message(first, status.Channel.EMAIL) == "First email"
    assert labels.name_message(first, status.Channel.WHOP) == "First chat message"


def test_a_recovery_names_the_channel_where_it_is_known() -> None:
    member = status.RecoveredBy.MEMBER
    assert labels.name_recovery(member) == "Paid after our message"
    assert labels.name_recovery(member, status.Channel.EMAIL) == "Paid after our email"
    assert labels.name_recovery(member, status.Channel.WHOP) == "Paid after our chat message"
    retry = labels.name_recovery(status.RecoveredBy.RETRY, status.Channel.EMAIL)
    assert retry == "Recovered by our retry"
    assert labels.name_recovery(None) == "Would have come anyway"


def test_a_label_goes_on_within_a_sentence() -> None:
    assert labels.continue_with("Paid after our message") == "paid after our message"
    assert labels.continue_with("Whop chat") == "Whop chat"
