"""The audit list holds codes and no jobs: a replay is asked for by a request, as all else is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

SENTENCES = {"retry": "asked for a retry now", "stop": "stopped the work on it"}
ACTIONS = "('settings', 'template', 'retry', 'stop', 'replay_events', 'other')"
OPEN_REPLAY = "kind = 'replay' and done_at is null"
LOCK = "lock table requests, deeds in access exclusive mode"
"""In the order in which they are written: nobody writes one of the old kind in between."""

ASK_WHAT_IS_OPEN = """
insert into requests (company_id, kind, asked_by, asked_at)
select distinct on (company_id) company_id, 'replay', done_by, done_at
from deeds
where what = 'replay' and not details ? 'taken_at'
order by company_id, id
"""
KEEP_UNKNOWN_WORDS = f"""
update deeds set what = 'other', details = details || jsonb_build_object('words', what)
where what not in {ACTIONS}
"""
GIVE_WORDS_BACK = """
update deeds set what = coalesce(details ->> 'words', what), details = details - 'words'
where what = 'other'
"""
# What was asked for and is done: an older daemon must not take it for a job.
MARK_TAKEN = """
update deeds
set what = 'replay', details = jsonb_build_object('taken_at', coalesce(
    (select max(done_at) from requests
     where requests.kind = 'replay' and requests.company_id = deeds.company_id
        and requests.asked_at = deeds.done_at),
    deeds.done_at)) || details
where what = 'replay_events'
"""
# Its own entry, the newest: who asked before at the same moment was served.
MAKE_JOBS = f"""
with open as (select * from requests where {OPEN_REPLAY}),
found as (
    update deeds set details = details - 'taken_at'
    where id in (
        select max(entry.id) from deeds as entry
        join open on entry.company_id = open.company_id and entry.done_at = open.asked_at
        where entry.what = 'replay'
        group by entry.company_id
    )
    returning company_id
)
insert into deeds (company_id, done_at, done_by, what)
select company_id, asked_at, asked_by, 'replay' from open
where company_id not in (select company_id from found)
"""


def upgrade() -> None:
    op.execute(LOCK)
    op.add_column(
        "requests",
        sa.Column("tried_up_to", sa.BigInteger(), comment="a replay goes on after this event"),
    )
    op.alter_column("requests", "payment_id", nullable=True)
    replace_kinds("'stop', 'hasten', 'replay'")
    op.create_check_constraint(
        op.f("ck_requests_payment_id"), "requests", "(payment_id is null) = (kind = 'replay')"
    )
    op.create_index(
        "uq_requests_replay",
        "requests",
        ["company_id"],
        unique=True,
        postgresql_where=sa.text(OPEN_REPLAY),
    )
    op.execute(ASK_WHAT_IS_OPEN)
    for code, sentence in SENTENCES.items():
        op.execute(f"update deeds set what = '{code}' where what = '{sentence}'")
    op.execute("update deeds set what = 'replay_events' where what = 'replay'")
    op.execute(KEEP_UNKNOWN_WORDS)
    op.create_check_constraint(op.f("ck_deeds_what"), "deeds", f"what in {ACTIONS}")


def downgrade() -> None:
    op.execute(LOCK)
    op.drop_constraint(op.f("ck_deeds_what"), "deeds")
    op.execute(GIVE_WORDS_BACK)
    op.execute(MARK_TAKEN)
    op.execute(MAKE_JOBS)
    for code, sentence in SENTENCES.items():
        op.execute(f"update deeds set what = '{sentence}' where what = '{code}'")
    op.execute("delete from requests where kind = 'replay'")
    op.drop_index("uq_requests_replay", table_name="requests")
    op.drop_constraint(op.f("ck_requests_payment_id"), "requests")
    replace_kinds("'stop', 'hasten'")
    op.alter_column("requests", "payment_id", nullable=False)
    op.drop_column("requests", "tried_up_to")


def replace_kinds(kinds: str) -> None:
    op.drop_constraint(op.f("ck_requests_kind"), "requests")
    op.create_check_constraint(op.f("ck_requests_kind"), "requests", f"kind in ({kinds})")
