"""The SQL function refuses names of nothing but white space, as the other entry points do.

Programs of before run with it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# `wire/fields.py` has the same, and says what they are.
_INVISIBLE = (
    r"\u0001-\u0020\u007F-\u00A0\u00AD\u034F\u061C\u115F\u1160\u1680\u17B4\u17B5\u180B-\u180F"
    r"\u2000-\u200F\u2028-\u202F\u205F-\u206F\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFF8"
    r"\U0001BCA0-\U0001BCA3\U0001D173-\U0001D17A\U000E0000-\U000E0FFF"
)
_OLD = (
    "(coalesce(length(name) NOT BETWEEN 1 AND 200, true), '/name', "
    "'a string of 1 to 200 characters',"
)
_NEW = (
    f"(coalesce(length(name) NOT BETWEEN 1 AND 200 OR name COLLATE \"C\" !~ '[^{_INVISIBLE}]', true), '/name', "
    "'a string of 1 to 200 characters, not only white space',"
)


def _replace(old: str, new: str) -> None:
    """Change a part of the function as it is: other migrations may have changed other parts."""
    op.execute(f"""
        DO $migration$
        DECLARE
            now constant text = pg_get_functiondef('taskmill.request_violations'::regproc);
            wanted constant text = replace(now, $old${old}$old$, $new${new}$new$);
        BEGIN
            IF wanted = now THEN
                RAISE EXCEPTION 'taskmill.request_violations is not as it was made';
            END IF;
            EXECUTE wanted;
        END $migration$
    """)


def upgrade() -> None:
    _replace(_OLD, _NEW)


def downgrade() -> None:
    _replace(_NEW, _OLD)
