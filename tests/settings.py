"""The product's settings as the tests want them: nothing from the machine's environment, fast hashes, quiet logs."""

import os
import re
from pathlib import Path

os.environ.setdefault("OPENAI_LIVE_KEY", os.environ.get("OPENAI_API_KEY", ""))  # for tests/live, and nothing else
# A variable that is set to nothing counts as unset, and no .env file stands over it. The database alone may be chosen.
for name in re.findall(r"^([A-Z_]+)=", (Path(__file__).parents[1] / ".env.example").read_text(), re.MULTILINE):
    if name != "DATABASE_URL":
        os.environ[name] = ""
os.environ["DATABASE_URL"] = os.environ.get("DATABASE_URL", "")  # set, if to nothing: so the .env files do not choose it
os.environ["DEBUG"] = "true"
os.environ["LOG_LEVEL"] = "WARNING"

from chamada.settings import *  # noqa: E402, F403

DEBUG = False
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Without it, it warns of the folder that only `collectstatic` makes.
WHITENOISE_AUTOREFRESH = True
