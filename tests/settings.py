"""The product's settings as the tests want them: nothing from the machine's environment, fast hashes, quiet logs."""

import os

for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY", "OPENAI_BASE_URL", "SIP_TRUNK_ID", "REDIS_URL"):
    os.environ[name] = ""
os.environ["DEBUG"] = "true"
os.environ["LOG_LEVEL"] = "WARNING"

from chamada.settings import *  # noqa: E402, F403

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
