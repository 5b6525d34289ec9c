"""Notices of what needs attention, who acknowledged or silenced them, and what processes report of themselves.

The previous program runs with it: it records and reports nothing, and knows no marks.
"""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

_NOTICE = """
    CREATE TABLE taskmill.notice (
        id uuid PRIMARY KEY,
        kind text NOT NULL,
        subject text NOT NULL,
        queue text,
        first_at timestamptz NOT NULL DEFAULT now(),
        last_at timestamptz NOT NULL DEFAULT now(),
        mark text,
        marked_by text,
        marked_at timestamptz,
        marked_until timestamptz,
        note text,
        CONSTRAINT notice_mark CHECK (mark IN ('acknowledged', 'silenced'))
    )
"""
_ATTENTION = """
    CREATE TABLE taskmill.attention (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        recorded_since timestamptz NOT NULL DEFAULT now(),
        recorded_at timestamptz NOT NULL DEFAULT now(),
        active_at timestamptz
    )
"""
_PROCESS = """
    CREATE TABLE taskmill.process (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        roles text[] NOT NULL,
        version text NOT NULL,
        started_at timestamptz NOT NULL DEFAULT now(),
        seen_at timestamptz NOT NULL DEFAULT now(),
        clock_ahead_s double precision NOT NULL,
        failing_duties jsonb NOT NULL DEFAULT '[]'
    )
"""


def upgrade() -> None:
    op.execute(_NOTICE)
    op.execute(_ATTENTION)
    op.execute(_PROCESS)


def downgrade() -> None:
    op.execute("DROP TABLE taskmill.process")
    op.execute("DROP TABLE taskmill.attention")
    op.execute("DROP TABLE taskmill.notice")
