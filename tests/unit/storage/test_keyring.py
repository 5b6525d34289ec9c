"""Encrypting secrets that are stored."""

import subprocess
import sys
from uuid import UUID

import pytest

from taskmill.domain.errors import SecretUnreadable
from taskmill.domain.signing import secret_of
from taskmill.storage.keyring import CALLBACK_KEY, Keyring, webhook_owner
from tests.support.key_files import NEW, OLD
from tests.support.processes import ROOT

SECRET = secret_of(b"s" * 32)
OWNER = webhook_owner(UUID(int=7))


def test_a_secret_is_encrypted_by_the_first_key_and_decrypted_by_all() -> None:
    old, both = Keyring([OLD]), Keyring([NEW, OLD])
    stored = old.encrypted(SECRET, OWNER)
    assert SECRET not in stored
    assert stored.startswith(f"enc:v1:{old.ids[0]}:")
    assert both.decrypted(stored, OWNER) == SECRET
    again = both.encrypted(SECRET, OWNER)
    assert again.startswith(f"enc:v1:{both.ids[0]}:")
    assert both.ids == [Keyring([NEW]).ids[0], old.ids[0]]


def test_no_two_ciphertexts_are_alike() -> None:
    keyring = Keyring([NEW])
    assert len({keyring.encrypted(SECRET, OWNER) for _ in range(100)}) == 100


def test_without_keys_secrets_are_stored_as_they_are() -> None:
    assert Keyring().encrypted(SECRET, OWNER) == SECRET
    assert Keyring().decrypted(SECRET, OWNER) == SECRET
    assert Keyring([NEW]).decrypted(SECRET, OWNER) == SECRET, "from before there was a key"


@pytest.mark.parametrize("keys", [[], [OLD]])
def test_a_missing_key_is_named(keys: list[bytes]) -> None:
    stored = Keyring([NEW]).encrypted(SECRET, CALLBACK_KEY)
    with pytest.raises(SecretUnreadable) as caught:
        Keyring(keys).decrypted(stored, CALLBACK_KEY)
    assert str(caught.value) == (
        f"the secret of the key for callbacks can't be decrypted: key {Keyring([NEW]).ids[0]} is not in "
        "TASKMILL_SECRETS_KEY_FILE"
    )


def test_a_secret_can_not_be_moved_to_another_row() -> None:
    keyring = Keyring([NEW])
    stored = keyring.encrypted(SECRET, OWNER)
    with pytest.raises(SecretUnreadable, match="not what key"):
        keyring.decrypted(stored, webhook_owner(UUID(int=8)))


@pytest.mark.parametrize("change", ["flip", "cut", "empty", "short", "no base64"])
def test_a_changed_secret_is_refused(change: str) -> None:
    keyring = Keyring([NEW])
    stored = keyring.encrypted(SECRET, OWNER)
    head = keyring.form
    changed = {
        "flip": stored[:-6] + ("A" if stored[-6] != "A" else "B") + stored[-5:],
        "cut": stored[:-8],
        "empty": head,
        "short": f"{head}AAAA",
        "no base64": f"{head}!!!!",
    }[change]
    with pytest.raises(SecretUnreadable, match=f"^the secret of {OWNER} can't be decrypted"):
        keyring.decrypted(changed, OWNER)


def test_an_id_reveals_nothing_of_its_key() -> None:
    [found] = Keyring([NEW]).ids
    assert len(found) == 16
    assert NEW.hex()[:8] not in found


def test_the_library_is_imported_at_the_first_use() -> None:
    script = (
        "import sys; from taskmill.storage.keyring import Keyring; k = Keyring([b'k' * 32]); "
        "k.decrypted('whsec_x', 'x'); assert 'cryptography' not in sys.modules; "
        "k.encrypted('whsec_x', 'x'); assert 'cryptography' in sys.modules"
    )
    subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", script],
        check=True,
        env={"PYTHONPATH": str(ROOT / "src")},
        timeout=60,
    )
