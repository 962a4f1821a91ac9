"""The one settings file. It boots with an empty environment, on SQLite; each variable is explained in .env.example."""

import base64
import hashlib
import logging
from pathlib import Path
from typing import Any, cast

import django_stubs_ext
import structlog
from django.utils.translation import gettext_lazy as _

from .admin_theme import UNFOLD  # noqa: F401 - a setting
from .environment import Environment, WrongSetting
from .logs import drop_personal_data

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent
env = Environment(BASE_DIR)

# --- Security ---------------------------------------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", default=False)
# Known to everybody who reads this file: the check chamada.E001 refuses it outside DEBUG and tests, with a real database.
INSECURE_KEY = "insecure-key-of-a-machine-that-nobody-else-can-reach"
SECRET_KEY = env.text("SECRET_KEY") or INSECURE_KEY
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
HTTPS = env.flag("HTTPS", default=False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
# LiveKit on the same machine tells its news without the proxy; they are signed, and it follows no redirect.
SECURE_REDIRECT_EXEMPT = [r"^livekit/webhook$"]
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_SAMESITE = "Lax"
# How many proxies of ours stand in front: the client's address is that many hops from the right of X-Forwarded-For.
TRUSTED_PROXY_HOPS = env.number("TRUSTED_PROXY_HOPS", 0, least=0, most=5)


def _derived(purpose: str) -> str:
    """A key for a machine where none is configured, stable as long as SECRET_KEY is."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"{purpose}\0{SECRET_KEY}".encode()).digest()).decode()


# The first key encrypts, all of them decrypt. The index key is apart: suppression outlives a rotation of the others.
FIELD_KEYS = env.keys("FIELD_KEYS") or [_derived("field")]
BLIND_INDEX_KEY = (env.keys("BLIND_INDEX_KEY") or [_derived("blind index")])[0]
# Which of the two are made up from SECRET_KEY: fine on a developer's machine, refused by a check where data is to last.
DERIVED_KEYS = [name for name in ("FIELD_KEYS", "BLIND_INDEX_KEY") if not env.text(name)]

# --- Applications -----------------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "corsheaders",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_structlog",
    "django_tasks",
    "accounts",
    "personas",
    "contacts",
    "calls",
    "agent_worker",
    "chamada",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "chamada.request_log.RequestLog",
]
ROOT_URLCONF = "chamada.urls"
WEB_THREADS = env.number("WEB_THREADS", 16, least=1, most=256)  # of one web process; each holds a database connection
WSGI_APPLICATION = "chamada.wsgi.application"
ASGI_APPLICATION = "chamada.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# --- Data -------------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.database("DATABASE_URL", BASE_DIR / "db.sqlite3")}
ON_POSTGRESQL = DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql"
DATABASES["default"]["OPTIONS"] = (
    # Seconds, and milliseconds for the last: a server that is gone, or cut off, is noticed while somebody still waits for it. What stands
    # behind the “?” of DATABASE_URL comes before it.
    {"connect_timeout": 5, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 20_000}
    | cast("dict[str, Any]", DATABASES["default"].get("OPTIONS", {}))
    if ON_POSTGRESQL
    # A reader never waits, a writer waits its turn instead of failing half-way through a transaction.
    else {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"}
)
DATABASES["default"]["CONN_MAX_AGE"] = 60
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
# Steps in the background: calls/engine says what the engine is good for, and what it is not trusted with.
INSTALLED_APPS.insert(INSTALLED_APPS.index("django_tasks") + 1, "procrastinate.contrib.django" if ON_POSTGRESQL else "django_tasks_db")
TASKS = {
    "default": {"BACKEND": "calls.engine.on_postgresql.ProcrastinateBackend" if ON_POSTGRESQL else "calls.engine.on_sqlite.DatabaseBackend"}
}
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = ""  # its one job runs any step
REDIS_URL = env.url("REDIS_URL", ("redis", "rediss", "unix"))
CACHES = {
    "default": (
        {"BACKEND": "chamada.cache.StandingRedisCache", "LOCATION": REDIS_URL}
        if REDIS_URL
        else {"BACKEND": "chamada.cache.OneProcessCache", "LOCATION": "chamada"}
    )
}

# --- People -----------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher", "django.contrib.auth.hashers.PBKDF2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
LOGIN_URL = "admin:login"
LANGUAGE_CODE = "pt"
LANGUAGES = [("pt", "Português (Portugal)"), ("pt-br", "Português (Brasil)"), ("en", "English")]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "Europe/Lisbon"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
MEDIA_ROOT = Path(env.text("MEDIA_ROOT") or BASE_DIR / "media")
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# --- LiveKit and the telephone line -----------------------------------------------------------------------------------
LIVEKIT_URL = env.url("LIVEKIT_URL", ("ws", "wss", "http", "https"))
LIVEKIT_API_KEY = env.secret("LIVEKIT_API_KEY")
LIVEKIT_API_SECRET = env.secret("LIVEKIT_API_SECRET")
# What a dispatch tells the agent: "minimal" is ids alone; "full" adds number and name, for agents of others.
LIVEKIT_DISPATCH_METADATA = env.choice("LIVEKIT_DISPATCH_METADATA", "minimal", ("minimal", "full"))
SIP_TRUNK_ID = env.text("SIP_TRUNK_ID")
SIP_FROM_NUMBER = env.phone("SIP_FROM_NUMBER")
TRANSFER_PHONE_NUMBER = env.phone("TRANSFER_PHONE_NUMBER")

# --- OpenAI Realtime --------------------------------------------------------------------------------------------------
OPENAI_API_KEY = env.secret("OPENAI_API_KEY")
OPENAI_BASE_URL = env.url("OPENAI_BASE_URL", ("http", "https"), "https://api.openai.com/v1")
REALTIME_MODEL = env.text("REALTIME_MODEL", "gpt-realtime-2.1-mini")
TRANSCRIPTION_MODEL = env.text("TRANSCRIPTION_MODEL", "gpt-4o-mini-transcribe")

# --- The agent worker -------------------------------------------------------------------------------------------------
AGENT_NAME = env.text("AGENT_NAME", "chamada")
AGENT_MAX_CALLS = env.number("AGENT_MAX_CALLS", 8, least=1, most=200)
AGENT_IDLE_PROCESSES = env.number("AGENT_IDLE_PROCESSES", 2, least=1, most=32)
AGENT_HEALTH_PORT = env.number("AGENT_HEALTH_PORT", 8081, least=0, most=65535)
AGENT_METRICS_PORT = env.number("AGENT_METRICS_PORT", 9091, least=0, most=65535)
AGENT_DRAIN_TIMEOUT_S = env.number("AGENT_DRAIN_TIMEOUT_S", 1800, least=1, most=86_400)
SANDBOX_MAX_CALLS = env.number("SANDBOX_MAX_CALLS", 10, least=1, most=40)
# Where a call's turns wait, encrypted, while the database is away.
JOURNAL_SPOOL = Path(env.text("JOURNAL_SPOOL") or BASE_DIR / ".dev" / "spool")

# --- API --------------------------------------------------------------------------------------------------------------
API_RATES = {
    "key": env.rate("API_RATE_PER_KEY", "120/m"),
    "address": env.rate("API_RATE_PER_ADDRESS", "240/m"),
    "call_key": env.rate("CALL_RATE_PER_KEY", "60/m"),
    "call_address": env.rate("CALL_RATE_PER_ADDRESS", "120/m"),
}
CORS_ALLOWED_ORIGINS = env.words("CORS_ALLOWED_ORIGINS")
CORS_URLS_REGEX = r"^/api/.*$"
CORS_ALLOW_HEADERS = ["accept", "authorization", "content-type", "idempotency-key"]
CORS_EXPOSE_HEADERS = ["Idempotent-Replayed", "Retry-After", "X-Request-ID"]
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
RATELIMIT_USE_CACHE = "default"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.ApiKeyAuthentication", "accounts.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "calls.api.problems.handle",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Chamada.ai",
    "DESCRIPTION": _("Start calls once and only once, follow them, read what was said, and cancel them."),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "PREPROCESSING_HOOKS": ["calls.api.documentation.with_one_address_each"],
    "ENUM_NAME_OVERRIDES": {
        "Status": "calls.states.Status",
        "Outcome": "calls.states.Outcome",
        "EndedBy": "calls.states.EndedBy",
        "Fault": "calls.states.Fault",
        "Line": "calls.models.LineKind",
    },
    "SWAGGER_UI_SETTINGS": {"persistAuthorization": True, "docExpansion": "list", "tryItOutEnabled": True},
}

# --- Logs -------------------------------------------------------------------------------------------------------------
LOG_LEVEL = env.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOG_FORMAT = env.choice("LOG_FORMAT", "console", ("console", "json"))
_shared_processors: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.StackInfoRenderer(),
]
_rendering: list[structlog.typing.Processor] = [
    structlog.processors.TimeStamper(fmt="iso", utc=True)
    if LOG_FORMAT == "json"
    else structlog.processors.TimeStamper("%H:%M:%S", utc=False),
    structlog.processors.format_exc_info,
    drop_personal_data,
    structlog.processors.JSONRenderer(ensure_ascii=False)
    if LOG_FORMAT == "json"
    # Plain tracebacks: the pretty ones print local variables, and in those stand numbers and names.
    else structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
]
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_processors,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "lines": {
            "()": structlog.stdlib.ProcessorFormatter,
            # Of what libraries add to their records, the ids of livekit-agents: which job, in which process.
            "foreign_pre_chain": [structlog.stdlib.ExtraAdder(allow=["job_id", "dispatch_id", "room", "pid"]), *_shared_processors],
            "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering],
        },
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "lines"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    "loggers": {
        "django.server": {"handlers": ["console"], "level": "WARNING", "propagate": False},
        # They tell of every step that began and ended.
        **{name: {"level": "WARNING"} for name in ("procrastinate", "django_tasks", "django_tasks_db")},
    },
}
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG  # one line a request: its end

if bool(LIVEKIT_API_KEY) != bool(LIVEKIT_API_SECRET):
    raise WrongSetting("LIVEKIT_API_KEY and LIVEKIT_API_SECRET", "belong together: set both, or neither.")
