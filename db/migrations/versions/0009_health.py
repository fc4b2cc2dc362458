"""What was a sentence or plain text becomes a word of a list: why payments could not be read back,
and what notices and mail events are.

Rows that no code of ours wrote must not stop it:
- A mail event of an unknown kind becomes `processed`, the one that says least. It still keeps its
  event from counting twice, and still proves that the mail was sent.
- A notice's unknown channel becomes the one that its kind goes by. A notice of an unknown kind,
  which no code can write or send, is deleted.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ERRORS = "'access_denied', 'permission_missing', 'unavailable'"
EVENTS = (
    "'processed', 'deferred', 'delivered', 'opened', 'clicked', 'bounced', 'blocked', 'dropped', "
    "'spam_report', 'unsubscribed'"
)
KINDS = (
    "'digest', 'recovery', 'key_refused', 'key_refused_over', 'webhook_silent', "
    "'webhook_silent_over', 'mails_bouncing', 'mails_bouncing_over'"
)
CHANNELS = "'email', 'post'"
ITS_CHANNEL = "case kind when 'digest' then 'email' else 'post' end"
DETAIL = "the error's detail, for people"


def upgrade() -> None:
    check_mail_events()
    check_notices()
    name_errors()


def check_mail_events() -> None:
    """Beside the running work, as the table may be large; begun anew after an interruption."""
    with op.get_context().autocommit_block():
        op.execute("alter table mail_events drop constraint if exists ck_mail_events_kind")
        op.execute(
            "alter table mail_events add constraint ck_mail_events_kind"
            f" check (kind in ({EVENTS})) not valid"
        )
        op.execute(f"update mail_events set kind = 'processed' where kind not in ({EVENTS})")
        op.execute("alter table mail_events validate constraint ck_mail_events_kind")


def check_notices() -> None:
    op.execute(
        f"update notices as odd set channel = {ITS_CHANNEL} where channel not in ({CHANNELS})"
        " and not exists (select from notices as other where (other.company_id, other.kind,"
        " other.occasion) = (odd.company_id, odd.kind, odd.occasion)"
        f" and (other.id < odd.id or other.channel in ({CHANNELS})))"
    )
    op.execute(f"delete from notices where kind not in ({KINDS}) or channel not in ({CHANNELS})")
    op.create_check_constraint(op.f("ck_notices_kind"), "notices", f"kind in ({KINDS})")
    op.create_check_constraint(op.f("ck_notices_channel"), "notices", f"channel in ({CHANNELS})")


def name_errors() -> None:
    op.add_column("syncs", sa.Column("error", sa.Text()))
    op.execute(
        "update syncs set error = case"
        " when trouble ~ '^Whop answered 40[13]' then 'access_denied'"
        " when trouble like 'Whop does not let us read payments:%' then 'permission_missing'"
        " else 'unavailable' end where trouble is not null"
    )
    op.create_check_constraint(op.f("ck_syncs_error"), "syncs", f"error in ({ERRORS})")
    op.alter_column("syncs", "trouble", comment=DETAIL)


def downgrade() -> None:
    """Older code knows a refused key by how the sentence begins."""
    op.execute(
        "update syncs set trouble = 'Whop answered 401: ' || trouble"
        " where error = 'access_denied' and trouble !~ '^Whop answered 40[13]'"
    )
    op.alter_column("syncs", "trouble", comment=None, existing_comment=DETAIL)
    op.drop_column("syncs", "error")
    op.drop_constraint(op.f("ck_notices_channel"), "notices")
    op.drop_constraint(op.f("ck_notices_kind"), "notices")
    op.drop_constraint(op.f("ck_mail_events_kind"), "mail_events")
