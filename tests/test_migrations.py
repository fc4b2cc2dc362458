"""The schema's revisions: up, down, and up again, and what they make is what the models say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, Engine, inspect, text

from db import migrate
from db.models import Base
from db.session import head_revision


def find_revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        found: str | None = connection.scalar(text("select max(version_num) from alembic_version"))
        return found


def test_they_go_up_and_down_and_up_again(empty_engine: Engine):
    migrate.upgrade(empty_engine)
    assert find_revision(empty_engine) == head_revision()
    migrate.downgrade(empty_engine, "base")
    assert inspect(empty_engine).get_table_names() == ["alembic_version"]
    migrate.upgrade(empty_engine)
    assert find_revision(empty_engine) == head_revision()


def test_two_at_once_take_turns(empty_engine: Engine):
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(migrate.upgrade, empty_engine) for _ in range(2)]:
            done.result(timeout=60)
    assert find_revision(empty_engine) == head_revision()


def test_an_interrupted_index_is_made_anew(empty_engine: Engine):
    migrate.upgrade(empty_engine, "0005")
    with empty_engine.begin() as connection:
        connection.execute(text("create index ix_payments_name on payments (id)"))
    migrate.upgrade(empty_engine)
    (index,) = (
        index
        for index in inspect(empty_engine).get_indexes("payments")
        if index["name"] == "ix_payments_name"
    )
    assert index["column_names"] == ["company_id", None]  # None: an expression


def test_a_migration_that_fails_lets_the_next_one_have_its_turn(empty_engine: Engine):
    with pytest.raises(CommandError):
        migrate.upgrade(empty_engine, "nowhere")
    migrate.upgrade(empty_engine)
    assert find_revision(empty_engine) == head_revision()


def test_they_make_what_the_models_describe(migrated_engine: Engine):
    with migrated_engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_every_check_of_the_models_is_in_the_database(migrated_engine: Engine):
    """Comparing the metadata leaves checks out."""
    for table in Base.metadata.sorted_tables:
        checks = [c for c in table.constraints if isinstance(c, CheckConstraint)]
        described = {check.name for check in checks}
        made = inspect(migrated_engine).get_check_constraints(table.name)
        assert {check["name"] for check in made} == described, table.name
