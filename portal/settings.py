"""Settings, all of them from the environment. docs/operating.md lists what an operator may want to set."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.FileAwareEnv()
if (env_file := env.str("ENV_FILE", default="")) != "":
    environ.Env.read_env(env_file)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    # Good for a first look and for tests only: sessions signed with it can be forged by whoever reads this line.
    SECRET_KEY = "insecure-" + hashlib.sha256(str(BASE_DIR).encode()).hexdigest()
    SECRET_KEY_IS_MADE_UP = True
else:
    SECRET_KEY_IS_MADE_UP = False

# Keys for what is stored encrypted (connectors' secrets, remote tokens): the first encrypts, all decrypt.
ENCRYPTION_KEYS: list[str] = env.list("ENCRYPTION_KEYS", default=[])
if not ENCRYPTION_KEYS:
    ENCRYPTION_KEYS = [base64.urlsafe_b64encode(hashlib.sha256(b"settings" + SECRET_KEY.encode()).digest()).decode()]

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- this instance ------------------------------------------------------------------------------------------
INSTANCE_NAME = env.str("INSTANCE_NAME", default="Connect Portal")
INSTANCE_SUBDOMAIN = env.str("INSTANCE_SUBDOMAIN", default="portal")
# The admin's accent colour, so that two portals can be told apart: blue, teal, green, violet, plum, amber or slate.
INSTANCE_COLOUR = env.str("INSTANCE_COLOUR", default="blue")
INSTANCE_URL = env.str("INSTANCE_URL", default="http://127.0.0.1:8000").rstrip("/")

# The platform-wide pair that every client of the token endpoint sends (facts, section 1b). Publishers are told it.
OAUTH_CLIENT_ID = env.str("OAUTH_CLIENT_ID", default="convertr-connect")
OAUTH_CLIENT_SECRET = env.str("OAUTH_CLIENT_SECRET", default="convertr-connect-public-client")
OAUTH_TOKEN_SECONDS = env.int("OAUTH_TOKEN_SECONDS", default=3600)

# What connectors may know of this deployment: their manifests name the keys they want.
CONNECTOR_ENVIRONMENT: dict[str, str] = {
    "INSTANCE_SUBDOMAIN": INSTANCE_SUBDOMAIN,
    "CONVERTR_URL": env.str("CONVERTR_URL", default="https://{subdomain}.cvtr.io"),
    # Instances at other addresses, as "subdomain=url" pairs: the demo's and the tests' way to reach a local portal.
    "CONVERTR_INSTANCES": env.str("CONVERTR_INSTANCES", default=""),
    "CONVERTR_CLIENT_ID": env.str("CONVERTR_CLIENT_ID", default=OAUTH_CLIENT_ID),
    "CONVERTR_CLIENT_SECRET": env.str("CONVERTR_CLIENT_SECRET", default=OAUTH_CLIENT_SECRET),
    # Where events for Convertro go. Nothing is sent while it is empty: the vendor's own address is gone.
    "CONVERTRO_API_URL": env.str("CONVERTRO_API_URL", default=""),
}
# Addresses outside the public internet that connectors may call all the same (host:port); for local instances.
CONNECTOR_PRIVATE_HOSTS = env.list("CONNECTOR_PRIVATE_HOSTS", default=[])

# --- limits of our own: documented in docs/operating.md -----------------------------------------------------
MAX_BODY_BYTES = env.int("MAX_BODY_BYTES", default=1024 * 1024)
MAX_VALUE_CHARS = env.int("MAX_VALUE_CHARS", default=10_000)
MAX_FORM_PARTS = env.int("MAX_FORM_PARTS", default=500)
BODY_TIMEOUT_SECONDS = env.float("BODY_TIMEOUT_SECONDS", default=30)
# Files that people bring. What is not taken in, and rows that failed, are kept for so many days to be mended.
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=50 * 1024 * 1024)
IMPORT_MAX_ROWS = env.int("IMPORT_MAX_ROWS", default=100_000)
LIST_MAX_VALUES = env.int("LIST_MAX_VALUES", default=1_000_000)
IMPORT_KEEP_DAYS = env.int("IMPORT_KEEP_DAYS", default=14)
# Many leads in one call of the partner API.
API_MAX_BYTES = env.int("API_MAX_BYTES", default=32 * 1024 * 1024)
API_MAX_ROWS = env.int("API_MAX_ROWS", default=10_000)
INTAKE_QUEUE_ROWS = env.int("INTAKE_QUEUE_ROWS", default=5_000)
CATALOG_MAX_AGE_SECONDS = env.float("CATALOG_MAX_AGE_SECONDS", default=0.5)

# Calls in five minutes for one credential (facts, section 7); 0 switches a limit off.
RATE_LIMIT_WINDOW_SECONDS = env.int("RATE_LIMIT_WINDOW_SECONDS", default=300)
RATE_LIMIT_LOGINS = env.int("RATE_LIMIT_LOGINS", default=100)
# Passwords tried: with one name at the console's sign-in page, and from one address there and at the API together.
RATE_LIMIT_SIGN_INS = env.int("RATE_LIMIT_SIGN_INS", default=10)
RATE_LIMIT_PASSWORDS = env.int("RATE_LIMIT_PASSWORDS", default=100)
RATE_LIMIT_RESULTS = env.int("RATE_LIMIT_RESULTS", default=1_400)
RATE_LIMIT_CALLS = env.int("RATE_LIMIT_CALLS", default=3_800)
# Calls of the tracking API for one source in a second, each with up to 2,500 events; 0 switches the limit off.
RATE_LIMIT_TRACKING = env.float("RATE_LIMIT_TRACKING", default=1_000)
# Calls of the partner API with one key in the same five minutes.
RATE_LIMIT_PARTNER = env.int("RATE_LIMIT_PARTNER", default=6_000)
# For how long tracked events are kept; 0: for ever.
EVENT_KEEP_DAYS = env.int("EVENT_KEEP_DAYS", default=400)
# For how long partners' webhooks keep what they were told; 0: for ever.
WEBHOOK_KEEP_DAYS = env.int("WEBHOOK_KEEP_DAYS", default=30)

# --- database -----------------------------------------------------------------------------------------------
DATABASES: dict[str, dict[str, Any]] = {
    "default": env.db_url("DATABASE_URL", default=f"sqlite:///{VAR_DIR / 'portal.sqlite3'}")
}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    _database["ENGINE"] = "portal.sqlite"
    _database["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-8000;",
    }
    _database["TEST"] = {"NAME": env.str("TEST_DATABASE", default=str(VAR_DIR / "test.sqlite3"))}
else:
    _database["OPTIONS"] = {
        # A process that stands still in the middle of a transaction keeps its rows locked: after this it has lost them.
        "options": "-c idle_in_transaction_session_timeout=30000",
        **_database.get("OPTIONS", {}),
        "pool": {"min_size": 1, "max_size": env.int("DATABASE_POOL_SIZE", default=16), "timeout": 20},
    }
VAR_DIR.mkdir(exist_ok=True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- apps and middleware ------------------------------------------------------------------------------------
AUTH_USER_MODEL = "leads.User"
LOGIN_REDIRECT_URL = "admin:index"
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "portal.apps.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "leads",
    "integrations",
    "portal.apps.PortalConfig",
]
MIDDLEWARE = [
    "leads.api.middleware.PartnerApiMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
ASGI_APPLICATION = "portal.asgi.application"
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
            ]
        },
    }
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(VAR_DIR / "static"))
Path(STATIC_ROOT).mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
FORMAT_MODULE_PATH = ["portal.formats"]
SESSION_COOKIE_NAME = f"session_{INSTANCE_SUBDOMAIN}"
CSRF_COOKIE_NAME = f"csrf_{INSTANCE_SUBDOMAIN}"
SESSION_COOKIE_HTTPONLY = True
SECURE_COOKIES = INSTANCE_URL.startswith("https://")
SESSION_COOKIE_SECURE = SECURE_COOKIES
CSRF_COOKIE_SECURE = SECURE_COOKIES
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE_COOKIES else None
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5_000

# --- tasks --------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = env.str("BROKER_URL", default="memory://localhost/")
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = (
    {"polling_interval": 0.02}
    if CELERY_BROKER_URL.startswith("memory:")
    # A message that a killed worker had taken is not kept in Redis: to keep it and to strike it off cost half of what a worker
    # did for a lead that came alone, and the sweeper finds what it was about within seconds.
    else {"socket_connect_timeout": 2, "socket_timeout": 30, "ack_emulation": False}
)
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
# Seconds between the sweeper's rounds: what a lost wake-up costs at the most.
SWEEP_SECONDS = env.float("SWEEP_SECONDS", default=2.0)
REDIS_URL = env.str("REDIS_URL", default="")

# --- delivery and verdicts ----------------------------------------------------------------------------------
DELIVERY_BATCH = env.int("DELIVERY_BATCH", default=200)
# Threads of a process that record what came of deliveries; clients are waited for without one.
DELIVERY_THREADS = env.int("DELIVERY_THREADS", default=4)
# A worker renews its lease while it lives; a dead one's deliveries are taken up again after this.
DELIVERY_LEASE_SECONDS = env.float("DELIVERY_LEASE_SECONDS", default=15)
# Factor on the waits of the try and poll schedules; below 1 only in tests, that must not take days.
SCHEDULE_FACTOR = env.float("SCHEDULE_FACTOR", default=1.0)
# An integration whose every call has failed for so many days is switched off.
FAILING_DAYS = env.float("FAILING_DAYS", default=5.0)
# How often a client's form is looked at, so that a change of theirs is found before their refusals tell of it.
DISCOVERY_SECONDS = env.float("DISCOVERY_SECONDS", default=3600.0)
# How long a person on the Configure page waits for a client, in all, before the page gives up.
CONFIGURE_CHECK_SECONDS = env.float("CONFIGURE_CHECK_SECONDS", default=10.0)
VERDICT_POLLING = env.bool("VERDICT_POLLING", default=True)
# Off only to test or to mend: a client whose instance pushes no verdicts is polled instead.
SYNC_TAGS = env.bool("SYNC_TAGS", default=True)

# --- notices ------------------------------------------------------------------------------------------------
# The mail server, as smtp+tls://user:password@host:587. Without one e-mails wait, and say so.
EMAIL_URL = env.str("EMAIL_URL", default="")
if EMAIL_URL:
    vars().update(env.email_url("EMAIL_URL"))
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="portal@localhost")
# A client that fails for less is no news; times SCHEDULE_FACTOR.
NOTICE_AFTER_SECONDS = env.float("NOTICE_AFTER_SECONDS", default=600.0)
# How often integrations are compared with what people were told; silence and shares of verdicts thirty times as seldom.
NOTICE_LOOK_SECONDS = env.float("NOTICE_LOOK_SECONDS", default=10.0)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "class": "leads.error_words.LogLines",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {"celery": {"level": "WARNING"}, "kombu": {"level": "WARNING"}, "amqp": {"level": "WARNING"}},
}

# What the admin's skin and the partner API are told has files of its own.
from portal.partner_api import REST_FRAMEWORK as REST_FRAMEWORK  # noqa: E402
from portal.partner_api import SPECTACULAR_SETTINGS as SPECTACULAR_SETTINGS  # noqa: E402
from portal.skin import unfold_settings  # noqa: E402

UNFOLD = unfold_settings(name=INSTANCE_NAME, colour=INSTANCE_COLOUR)
