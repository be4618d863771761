"""What Convertro says of itself, and all that is decided about it where nothing is known (README.md, "Decided here")."""

from __future__ import annotations

from integrations.kit.contract import Budget, Manifest, SettingField

# --- decided: the vendor published no API reference, so each of these is one line to change -------------------
HIT_PATH, USER_PATH, INSTALLS_PATH = "hit", "user", "installs"
DEVICE, USER, TYPE, VALUE, ORDER, SITE, TIME = "sid", "id", "event_type", "event_value", "eid", "pag", "ts"
VALUE_WHERE_NONE_IS_GIVEN = "1"
INSTALLED = "application installed"
# Four hours, each wait about twice the one before, with the engine's jitter.
TRY_SECONDS = (5, 15, 40, 100, 240, 500, 1_000, 2_000, 3_500, 7_000)

_SERVER = "Needed for what mobile libraries and servers send, not for web pages."

MANIFEST = Manifest(
    slug="convertro",
    name="Convertro",
    summary="Send tracked users and orders to Convertro, from web pages and from servers.",
    accepts=frozenset({"event"}),
    integrations_name="Convertro",
    environment=("CONVERTRO_API_URL",),
    budgets=(Budget("call", 30_000, 60),),
    concurrency=16,
    try_seconds=TRY_SECONDS,
    settings=(
        SettingField(
            "account",
            "Account",
            help="Your Convertro account name.",
            pattern=r"[A-Za-z0-9._-]{1,100}",
            pattern_help="An account name has letters, digits, hyphens, full stops and underscores only.",
        ),
        SettingField("clientName", "Client Name", required=False, help=f"Your Convertro client name. {_SERVER}"),
        SettingField("domain", "Domain", required=False, help=f"Your Convertro domain. {_SERVER}"),
        SettingField("siteId", "Site ID", required=False, help=f"Your Convertro site id. {_SERVER}"),
        SettingField(
            "events",
            "Events",
            type="map",
            required=False,
            sides=("Your event", "Convertro’s event"),
            help="Web pages send only the events named here, and completed orders, which need no line. Servers send all "
            "events, those named here under Convertro’s name.",
        ),
        SettingField(
            "hybridAttributionModel",
            "Hybrid Attribution Model",
            type="boolean",
            required=False,
            help="A completed order that says whether its buyer is new is sent twice: as sale.new or sale.repeat, and as sale.",
        ),
        SettingField(
            "requireOrderId",
            "Require order id",
            type="boolean",
            required=False,
            default="true",
            help="A completed order without an order id is not sent. Switch it off if your orders have none.",
        ),
    ),
    help="Account is enough for web pages. For mobile apps and servers, fill in Client Name, Domain and Site ID too.",
)
