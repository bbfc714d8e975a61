"""What Alembic runs for each command; the connection comes from `storage.catalog.migration`.

It is already in a transaction, which is committed or rolled back by whoever opened it.
"""

from __future__ import annotations

from alembic import context

from storage.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
