"""What Alembic runs: the revisions, over the connection that ``upgrade`` was given."""

from __future__ import annotations

from alembic import context

# The transaction is the caller's, in SQLite too.
context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
