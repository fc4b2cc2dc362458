"""The mail that a member would get about a payment, as it stands now."""

from __future__ import annotations

from db.member_messages.letters import describe_letter
from db.reporting.payment_detail import Story
from mail.letters import Destination, Written, write
from recovery.message_schedule import SEQUENCES
from recovery.status import Step
from whop.client import MEMBERSHIPS_PAGE


def write_preview(story: Story, step: Step) -> Written:
    payment = story.payment
    letter = describe_letter(step, payment, story.time_zone)
    destination = Destination(MEMBERSHIPS_PAGE, story.seller)
    return write(letter, destination, story.manners, story.templates.get(step))


def describe_link(written: Written) -> str:
    """The dashboard cannot ask Whop for the member's own page, as the sender does."""
    if MEMBERSHIPS_PAGE not in written.text:
        return ""
    return (
        "Its button leads to Whop's general billing page here. What is sent leads to the member's "
        "own, which Whop is asked for just before."
    )


def choose_step(story: Story) -> Step | None:
    """The next one, else the last; None: members are not written to about such a decline."""
    steps = SEQUENCES[story.payment.decline_class]
    if story.payment.next_step is not None:
        return story.payment.next_step
    told = [message.step for message in story.messages]
    return told[-1] if told else next(iter(steps), None)
