"""A payment's status moves only as recovery/status.MOVES says, whoever writes it.

Rows may be born in any state: history is, and so is what is restored from a backup.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ALLOWED = (
    ("failed", "pending_retry"),
    ("failed", "recovered"),
    ("failed", "permanent_fail"),
    ("pending_retry", "failed"),
    ("pending_retry", "recovered"),
    ("pending_retry", "permanent_fail"),
    ("permanent_fail", "recovered"),
)


def upgrade() -> None:
    moves = ", ".join(f"('{before}', '{after}')" for before, after in ALLOWED)
    op.execute(
        f"""
        create function check_payment_move() returns trigger language plpgsql as $$
        begin
            if (old.status, new.status) in ({moves}) then
                return new;
            end if;
            raise exception 'a payment does not go from % to %', old.status, new.status
                using errcode = 'check_violation', table = 'payments', column = 'status',
                    constraint = 'payments_move';
        end
        $$
        """
    )
    op.execute(
        """
        create trigger payments_move before update on payments for each row
        when (old.status is distinct from new.status)
        execute function check_payment_move()
        """
    )


def downgrade() -> None:
    op.execute("drop trigger payments_move on payments")
    op.execute("drop function check_payment_move()")
