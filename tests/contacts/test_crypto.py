"""Encryption at rest (R13): keys can be rotated, and what does not decrypt says so instead of showing something else."""

import base64

import pytest
from pytest_django import Settings

from contacts import crypto
from contacts.crypto import CannotDecrypt


def key(byte: bytes) -> str:
    return base64.urlsafe_b64encode(byte * 32).decode()


def test_what_is_encrypted_decrypts_in_its_own_column_alone() -> None:
    secret = crypto.encrypt("Olá, Ana", context="contacts.contact.name")
    assert "Ana" not in secret
    assert crypto.decrypt(secret, context="contacts.contact.name") == "Olá, Ana"
    with pytest.raises(CannotDecrypt, match="was encrypted with a key that is not among FIELD_KEYS"):
        crypto.decrypt(secret, context="calls.call.number")


def test_the_same_text_is_never_encrypted_the_same() -> None:
    assert crypto.encrypt("a", context="c") != crypto.encrypt("a", context="c")


def test_keys_are_rotated_by_putting_a_new_one_first(settings: Settings) -> None:
    settings.FIELD_KEYS = [key(b"1")]
    old = crypto.encrypt("a", context="c")
    settings.FIELD_KEYS = [key(b"2"), key(b"1")]
    new = crypto.encrypt("a", context="c")
    assert (crypto.decrypt(old, context="c"), crypto.decrypt(new, context="c")) == ("a", "a")
    settings.FIELD_KEYS = [key(b"2")]
    assert crypto.decrypt(new, context="c") == "a"
    with pytest.raises(CannotDecrypt):
        crypto.decrypt(old, context="c")


@pytest.mark.parametrize("value", ["", "v1", "v1.00000000.AAAA", "v1.zzz.%%%"])
def test_what_was_never_encrypted_does_not_decrypt(value: str) -> None:
    with pytest.raises(CannotDecrypt):
        crypto.decrypt(value, context="c")


def test_a_changed_value_does_not_decrypt() -> None:
    version, key_id, body = crypto.encrypt("a", context="c").split(".")
    raw = bytearray(base64.urlsafe_b64decode(body))
    raw[-1] ^= 1
    with pytest.raises(CannotDecrypt):
        crypto.decrypt(f"{version}.{key_id}.{base64.urlsafe_b64encode(bytes(raw)).decode()}", context="c")


def test_the_blind_index_outlives_a_rotation_of_the_data_keys(settings: Settings) -> None:
    settings.BLIND_INDEX_KEY = key(b"i")
    before = crypto.blind_index("+351910000001")
    settings.FIELD_KEYS = [key(b"9")]
    assert crypto.blind_index("+351910000001") == before
    settings.BLIND_INDEX_KEY = key(b"j")
    assert crypto.blind_index("+351910000001") != before
    assert len(before) == 64


def test_nothing_is_nothing_encrypted() -> None:
    assert crypto.EncryptedTextField().get_prep_value("") == ""
    assert crypto.EncryptedTextField().from_db_value(None, None, None) is None
    assert crypto.EncryptedJSONField().get_prep_value(None) is None
    assert crypto.EncryptedJSONField().from_db_value(None, None, None) is None
    assert crypto.EncryptedJSONField().to_python({"a": 1}) == {"a": 1}
