"""The foundation: all tables, and `taskmill.create_task`, which creates a task in the caller's transaction.

It is what the migrations 0001 to 0014 made, as one. A database at 0014 goes on unchanged; `storage/migrate.py`
says what to do with an older one.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0014"
down_revision = None
branch_labels = None
depends_on = None

TABLES = ("tasks", "dispatch", "history", "requests", "contracts", "statistics", "webhooks")
# It checks what the other entry points check, in the same words.
CREATE_TASK = (
    *(
        "limits",
        "wording",
        "payload_checks",
        "problems",
        "strict_json",
        "unknown_fields",
        "field_rules",
    ),
    *("urls", "push_rules", "store", "notify", "request_rules", "create_task", "rights"),
)


def upgrade() -> None:
    for command in script(__file__, *TABLES, *(f"create_task/{part}" for part in CREATE_TASK)):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
