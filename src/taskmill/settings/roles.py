"""The group of settings for the logins of roles in the database."""

from pydantic import Field

from taskmill.settings.group import Group
from taskmill.settings.values import Password


class RoleSettings(Group):
    """Passwords with which the roles of `taskmill migrate --roles` may log in."""

    app_password: Password | None = Field(
        None,
        description="password of `taskmill_app`, which `taskmill migrate --roles` sets; unset: its login stays "
        "as it is",
    )
    maintenance_password: Password | None = Field(
        None, description="password of `taskmill_maintenance`"
    )
    reader_password: Password | None = Field(None, description="password of `taskmill_reader`")

    def passwords(self) -> dict[str, str]:
        """Return the passwords that are set, by role."""
        given = {
            "taskmill_app": self.app_password,
            "taskmill_maintenance": self.maintenance_password,
            "taskmill_reader": self.reader_password,
        }
        return {role: secret.get_secret_value() for role, secret in given.items() if secret}
