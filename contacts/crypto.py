"""Encryption of personal data at rest (R13): AES-256-GCM with rotatable keys, and a keyed index to look numbers up by.

A value is `v1.<key id>.<base64 of nonce and ciphertext>`; the column's name is authenticated with it, so that a value
moved to another column does not decrypt. The index's key is apart from the data keys and is not rotated with them.
"""

import base64
import hashlib
import hmac
import json
import os
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models

NONCE_BYTES = 12


class CannotDecrypt(Exception):
    """What stands in the database was encrypted with a key that is not among FIELD_KEYS, or was changed."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> dict[str, AESGCM]:
    raw = [base64.urlsafe_b64decode(key) for key in keys]
    return {hashlib.sha256(b"key id\0" + key).hexdigest()[:8]: AESGCM(key) for key in raw}


def encrypt(text: str, *, context: str) -> str:
    """`text` under the first of FIELD_KEYS; `context` (the column) has to be given again to decrypt."""
    key_id, key = next(iter(_ring(tuple(settings.FIELD_KEYS)).items()))
    nonce = os.urandom(NONCE_BYTES)
    return f"v1.{key_id}." + base64.urlsafe_b64encode(nonce + key.encrypt(nonce, text.encode(), context.encode())).decode()


def decrypt(value: str, *, context: str) -> str:
    """What `encrypt` was given. Raises CannotDecrypt for a key that is not there, another context, or a changed value."""
    try:
        _version, key_id, body = value.split(".", 2)
        raw = base64.urlsafe_b64decode(body)
        return _ring(tuple(settings.FIELD_KEYS))[key_id].decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context.encode()).decode()
    except (ValueError, KeyError, InvalidTag):
        raise CannotDecrypt from None


def blind_index(text: str) -> str:
    """64 hexadecimal digits that are the same for the same text, and say nothing of it without BLIND_INDEX_KEY."""
    return hmac.new(base64.urlsafe_b64decode(settings.BLIND_INDEX_KEY), text.encode(), hashlib.sha256).hexdigest()


class EncryptedTextField(models.TextField[str, str]):
    """Text that the database never sees. Empty text stays empty; it cannot be searched or ordered by."""

    def _context(self) -> str:
        return f"{self.model._meta.label_lower}.{self.attname}"

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return encrypt(str(value), context=self._context()) if value else value

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> str | None:
        return decrypt(value, context=self._context()) if value else value


class EncryptedJSONField(models.TextField[Any, Any]):
    """A JSON value that the database never sees."""

    # For django-stubs' plugin, which else takes over what a TextField is set to and gives.
    _pyi_private_set_type: Any
    _pyi_private_get_type: Any

    def _context(self) -> str:
        return f"{self.model._meta.label_lower}.{self.attname}"

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else encrypt(json.dumps(value, ensure_ascii=False), context=self._context())

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> Any:
        return None if value is None else json.loads(decrypt(value, context=self._context()))

    def to_python(self, value: Any) -> Any:
        return value
