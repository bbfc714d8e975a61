"""An older database through the migrations: Alembic, run inside this process.

Alembic keeps its context in module globals, so let one `upgrade` run at a time in a process.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

from storage.catalog.migration import MIGRATIONS


def upgrade(connection: Connection) -> None:
    """To the newest revision, in the transaction that the connection is in."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
