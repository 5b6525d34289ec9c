"""`taskmill.create_task` checks what lengths, ranges and types say; payloads are checked at the first claim.

It is one file now, `create_task.sql`, and what checked payloads by their contracts in PL/pgSQL is gone. With it
comes `taskmill.contract_of`, which `enqueue` asks before it sends a task. The previous program runs with it, and
checks nothing at first claims: until its workers are replaced, payloads from SQL that do not fit come to handlers.
"""

from alembic import op

from taskmill.storage.migrate import script

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

# What was dropped comes back from the files that made it: committed files do not change.
_BEFORE = (
    (
        "0014_foundation",
        *(
            f"create_task/{part}"
            for part in (
                *("wording", "payload_checks", "problems", "strict_json", "unknown_fields"),
                *("field_rules", "push_rules", "store", "request_rules", "rights"),
            )
        ),
    ),
    ("0015_weighed_checks", "up"),
    ("0016_names_that_show_something", "up"),
    ("0021_unserved_types", "store_tasks", "create_task"),
)


def upgrade() -> None:
    for command in script(__file__, "create_task", "contract_of", "dropped"):
        op.execute(command)


def downgrade() -> None:
    for command in script(__file__, "down"):
        op.execute(command)
    for migration, *parts in _BEFORE:
        for command in script(__file__.replace("0022_plain_create_task", migration), *parts):
            op.execute(command)
