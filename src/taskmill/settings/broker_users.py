"""The group of settings for the users of RabbitMQ."""

from pydantic import Field

from taskmill.settings.group import Group
from taskmill.settings.values import NamedPasswords, Password


class BrokerUserSettings(Group):
    """Passwords of the users that `taskmill broker definitions` makes; a user without one is left out."""

    admin_password: Password | None = Field(
        None, description="password of `taskmill`, who may do everything at the broker"
    )
    api_password: Password | None = Field(None, description="password of `taskmill_api`")
    intake_password: Password | None = Field(None, description="password of `taskmill_intake`")
    relay_password: Password | None = Field(None, description="password of `taskmill_relay`")
    worker_password: Password | None = Field(None, description="password of `taskmill_worker`")
    producers: NamedPasswords = Field(
        default_factory=dict,
        description="producers of messages with their passwords: `shop=...,crm=...`. Where keys are required, the "
        "API key with the same name says what one may create",
    )

    def passwords(self) -> dict[str, str]:
        """Return the passwords that are set, by user."""
        given = {
            "taskmill": self.admin_password,
            "taskmill_api": self.api_password,
            "taskmill_intake": self.intake_password,
            "taskmill_relay": self.relay_password,
            "taskmill_worker": self.worker_password,
            **self.producers,
        }
        return {user: secret.get_secret_value() for user, secret in given.items() if secret}
