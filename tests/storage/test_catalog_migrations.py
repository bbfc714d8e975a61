"""From no database to the newest one; head is what the program expects."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from storage.catalog import Catalog, migrate, pending_migrations
from storage.catalog.address import parse_address
from storage.catalog.database import Database
from storage.catalog.migration import MIGRATIONS, REVISIONS
from storage.catalog.tables import metadata
from storage.errors import BadValue, CatalogOutdated, CatalogTooNew, CatalogUnavailable

MIGRATE_PROGRAM = """
import asyncio, json, sys
from storage.catalog import migrate
print(json.dumps(asyncio.run(migrate(sys.argv[1]))))
"""


async def execute(url: str, *statements: str) -> None:
    database = await Database.open(parse_address(url))
    async with database.write() as connection:
        for statement in statements:
            await connection.execute(text(statement))
    await database.close()


async def examine(url: str, look: Any) -> Any:
    database = await Database.open(parse_address(url))
    async with database.read() as connection:
        found = await connection.run_sync(look)
    await database.close()
    return found


def tables(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def unmade(connection: Connection) -> list[str]:
    """All tables, those that refer to others first."""
    everything = MetaData()
    everything.reflect(connection)
    return [table.name for table in reversed(everything.sorted_tables)]


def revision(connection: Connection) -> list[str]:
    return list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())


def definitions(connection: Connection) -> list[tuple[Any, ...]]:
    """Every index and constraint in the database's own words, conditions included."""
    if connection.dialect.name == "sqlite":
        statement = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
    else:
        statement = (
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION "
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid <> 0 ORDER BY 1, 2"
        )
    rows = connection.execute(text(statement))
    return [tuple(_in_any_order(str(cell)) for cell in row) for row in rows]


def _in_any_order(sql: str) -> str:
    """A definition whose outermost list is sorted: a later column stands where it was added."""
    before, bracket, inner = " ".join(sql.split()).partition("(")
    if not before.startswith("CREATE TABLE"):
        return before + bracket + inner
    items = re.split(r",\s*(?![^()]*\))", inner.rstrip(") ") + ")")
    return before.replace('"', "") + " | ".join(sorted(item.strip(" )") for item in items))


async def test_a_new_database_goes_from_nothing_to_head(empty_url: str) -> None:
    pending = await pending_migrations(empty_url)
    assert pending[0] == "0001"
    assert await migrate(empty_url) == pending
    assert await pending_migrations(empty_url) == ()
    assert await migrate(empty_url) == ()
    catalog = await Catalog.open(empty_url)
    await catalog.check()
    await catalog.close()


def test_the_revisions_are_those_that_alembic_finds_one_after_the_other() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert tuple(each.revision for each in script.walk_revisions())[::-1] == REVISIONS
    assert tuple(sorted(REVISIONS)) == REVISIONS


async def test_head_equals_the_metadata(empty_url: str) -> None:
    await go_to(empty_url, "head", command.upgrade)

    def difference(connection: Connection) -> Any:
        options = {"compare_type": True, "compare_server_default": True}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    assert await examine(empty_url, difference) == []


async def test_a_new_database_is_what_the_migrations_would_have_made(empty_url: str) -> None:
    """Tables, indexes, constraints, and the revision that Alembic goes on from."""
    await go_to(empty_url, "head", command.upgrade)
    migrated = await examine(empty_url, definitions)
    assert any("starting" in str(row) for row in migrated)
    assert any("alembic_version" in str(row) for row in migrated)

    await execute(empty_url, *(f"DROP TABLE {name}" for name in await examine(empty_url, unmade)))
    await migrate(empty_url)
    assert await examine(empty_url, definitions) == migrated
    assert await examine(empty_url, revision) == [REVISIONS[-1]]
    await go_to(empty_url, "base", command.downgrade)
    assert await examine(empty_url, tables) == ["alembic_version"]
    assert await migrate(empty_url) == REVISIONS


async def test_open_does_not_migrate_but_says_what_to_run(empty_url: str) -> None:
    with pytest.raises(CatalogOutdated, match="run mediaserver migrate"):
        await Catalog.open(empty_url)
    assert await pending_migrations(empty_url) != ()


async def test_asking_makes_no_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new.db"
    assert await pending_migrations(url) != ()
    with pytest.raises(CatalogOutdated):
        await Catalog.open(url)
    assert list(tmp_path.iterdir()) == []


async def test_a_database_older_than_head_is_outdated(empty_url: str) -> None:
    await migrate(empty_url)
    await execute(empty_url, "DELETE FROM alembic_version")
    with pytest.raises(CatalogOutdated, match="run mediaserver migrate"):
        await Catalog.open(empty_url)


async def test_a_database_of_a_newer_program_is_refused(empty_url: str) -> None:
    await migrate(empty_url)
    await execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    for call in (Catalog.open, pending_migrations, migrate):
        with pytest.raises(CatalogTooNew, match="9999"):
            await call(empty_url)


async def test_a_migration_that_fails_changes_nothing(empty_url: str) -> None:
    await execute(empty_url, "CREATE TABLE invites (id INTEGER)")  # the last table it makes
    with pytest.raises(CatalogUnavailable, match="invites"):
        await migrate(empty_url)
    assert await examine(empty_url, tables) == ["invites"]
    await execute(empty_url, "DROP TABLE invites")
    assert await migrate(empty_url) != ()


async def test_two_processes_migrate_one_database_together(empty_url: str) -> None:
    async def other_process() -> list[str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", MIGRATE_PROGRAM, empty_url, stdout=subprocess.PIPE
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        applied: list[str] = json.loads(output)
        return applied

    expected = list(await pending_migrations(empty_url))
    applied = await asyncio.gather(other_process(), other_process())
    assert sorted(applied) == [[], expected]


async def test_migrating_leaves_logging_alone(tmp_path: Path) -> None:
    ours = logging.getLogger("storage.test")
    root = logging.getLogger()
    before = (list(root.handlers), root.level, ours.disabled, ours.level)
    await migrate(f"sqlite:///{tmp_path}/new.db")
    assert (list(root.handlers), root.level, ours.disabled, ours.level) == before


async def test_a_path_with_a_percent_sign(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/100 %(here)s.db"
    assert await migrate(url) != ()
    assert (tmp_path / "100 %(here)s.db").is_file()


# --- what older programs wrote --------------------------------------------------------------------

ROWS_OF_0001 = (
    "INSERT INTO recordings (id, room, status, mode, started_by, size, provider, metadata,"
    " created_at) VALUES ('RC_1', 'physics', 'recorded', 'tracks', 'host', 7000000000, 'local',"
    """ '{"title": "Ωmega"}', '2026-01-02 12:00:00.123456')""",
    "INSERT INTO recordings (id, room, status, mode, started_by, provider, metadata, created_at)"
    " VALUES ('RC_2', 'physics', 'recording', 'tracks', 'host', 'local', '{}',"
    " '2026-01-02 13:00:00.000000')",
    *(
        "INSERT INTO recording_files (id, recording_id, position, kind, participant_id,"
        " content_type, size, duration_seconds, sha256, key, start_seconds, participant_name,"
        f" source) VALUES ('FI_{number}', 'RC_1', {number}, 'participant', 'alice', 'video/webm',"
        f" 3500000000, 2.5, 'abab', 'recordings/physics/RC_1/FI_{number}.webm', 0.0, 'Alice',"
        " 'camera')"
        for number in (1, 2)
    ),
    "INSERT INTO invites (code_hash, room, role, expires_at, uses, created_by)"
    " VALUES ('hash', 'physics', 'host', '2030-01-01 00:00:00.000000', 3, 'host')",
)


async def go_to(url: str, revision: str, step: Callable[[Config, str], None]) -> None:
    """Alembic itself, to a revision that is not the newest."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        step(config, revision)

    database = await Database.open(parse_address(url))
    async with database.write() as connection:
        await connection.run_sync(run)
    await database.close()


async def in_the_catalog(url: str) -> tuple[Any, ...]:
    catalog = await Catalog.open(url)
    rows = await catalog.recordings.find()
    invite = await catalog.invites.redeem("hash", datetime(2026, 1, 1, tzinfo=UTC))
    await catalog.close()
    return rows.items, invite.uses


async def test_rows_of_the_first_version_are_kept_and_are_local(empty_url: str) -> None:
    await go_to(empty_url, "0001", command.upgrade)
    await execute(empty_url, *ROWS_OF_0001)
    assert (await migrate(empty_url))[0] == "0002"
    (second, first), uses = await in_the_catalog(empty_url)
    assert (first.id, first.status, first.size) == ("RC_1", "recorded", 7_000_000_000)
    assert first.metadata == {"title": "Ωmega"}
    assert first.created_at == datetime(2026, 1, 2, 12, 0, 0, 123456, UTC)
    assert [(file.id, file.provider) for file in first.files] == [
        ("FI_1", "local"),
        ("FI_2", "local"),
    ]
    assert first.files[0].key == "recordings/physics/RC_1/FI_1.webm"
    assert (first.shared_until, second.files, second.status) == (None, (), "recording")
    assert uses == 4


async def test_a_new_file_has_to_say_where_it_is(empty_url: str) -> None:
    """The default was for the rows that were there, not for those to come."""
    await go_to(empty_url, "0001", command.upgrade)
    await execute(empty_url, *ROWS_OF_0001)
    await migrate(empty_url)
    with pytest.raises(BadValue):
        await execute(empty_url, ROWS_OF_0001[2].replace("FI_1", "FI_3"))


async def test_going_back_to_the_first_version_keeps_its_rows(empty_url: str) -> None:
    await migrate(empty_url)
    await go_to(empty_url, "0001", command.downgrade)
    await execute(empty_url, *ROWS_OF_0001)
    await migrate(empty_url)
    before = await in_the_catalog(empty_url)
    await go_to(empty_url, "0001", command.downgrade)
    await migrate(empty_url)
    rows, uses = await in_the_catalog(empty_url)
    assert rows == before[0]
    assert len(rows[1].files) == 2
    assert uses == before[1] + 1
