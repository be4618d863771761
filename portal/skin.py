"""Settings of the admin's skin: names, colour, navigation. Plain data and functions of a request, read by settings.

The skin's classes are behind leads/skin.py, the only file that imports it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

# One accent colour per instance, so that two portals side by side can be told apart. Hue and how colourful, in OKLCH: the
# lightness of each step is the same for all, and white text on step 600 is readable on every one.
COLOURS = {
    "blue": (258, 0.17),
    "teal": (190, 0.10),
    "green": (155, 0.13),
    "violet": (293, 0.20),
    "plum": (340, 0.16),
    "amber": (62, 0.12),
    "slate": (255, 0.03),
}
_STEPS = {
    "50": (0.975, 0.10), "100": (0.945, 0.20), "200": (0.895, 0.36), "300": (0.82, 0.58), "400": (0.72, 0.85),
    "500": (0.62, 1.0), "600": (0.52, 1.0), "700": (0.45, 0.92), "800": (0.385, 0.78), "900": (0.33, 0.62),
    "950": (0.25, 0.46),
}  # fmt: skip


def accent(colour: str) -> dict[str, str]:
    """The steps of an accent colour; an unknown name gives blue."""
    hue, chroma = COLOURS.get(colour, COLOURS["blue"])
    return {step: f"oklch({light} {chroma * share:.3f} {hue})" for step, (light, share) in _STEPS.items()}


def _favicon(colour: str) -> str:
    """A mark in the accent colour, so that browser tabs of two portals can be told apart too."""
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect width="32" height="32" rx="7" fill="{accent(colour)["600"]}"/>'
        '<path d="M7 12h15l-4-4m7 12H10l4 4" fill="none" stroke="#fff" stroke-width="3"/></svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"


def _can_view(model: str) -> Callable[[HttpRequest], bool]:
    app, name = model.split(".")

    def allowed(request: HttpRequest) -> bool:
        user: Any = request.user
        return bool(user.has_perm(f"{app}.view_{name}") or user.has_perm(f"{app}.change_{name}"))

    return allowed


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    app, name = model.split(".")
    link = reverse_lazy(f"admin:{app}_{name}_changelist")
    return {"title": title, "icon": icon, "link": link, "permission": _can_view(model)}


NAVIGATION: list[dict[str, Any]] = [
    {"items": [{"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")}]},
    {
        "title": "Campaigns",
        "items": [
            _item("Campaigns", "campaign", "leads.campaign"),
            _item("Integrations", "cable", "integrations.integration"),
            _item("Forms", "list_alt", "leads.form"),
            _item("Lists of values", "checklist", "integrations.valuelist"),
            _item("Advertisers", "storefront", "leads.advertiser"),
        ],
    },
    {
        "title": "Leads",
        "items": [
            _item("Leads", "group", "leads.lead"),
            _item("Activity", "task", "leads.activity"),
            _item("Reason codes", "rule", "leads.reasoncode"),
        ],
    },
    {
        "title": "Deliveries",
        "items": [
            _item("Deliveries", "send", "integrations.delivery"),
            _item("Status updates", "reply", "integrations.statusupdate"),
            _item("Notices", "notifications", "integrations.notice"),
            _item("Webhooks", "webhook", "leads.subscription"),
        ],
    },
    {
        "title": "Access",
        "items": [
            _item("Publishers", "hub", "leads.publisher"),
            _item("Partner keys", "key", "leads.partnerkey"),
            _item("Users", "person", "leads.user"),
            _item("Groups", "badge", "auth.group"),
        ],
    },
]


def unfold_settings(*, name: str, colour: str) -> dict[str, Any]:
    """The skin's settings for an instance of this name and accent colour."""
    return {
        "SITE_TITLE": name,
        "SITE_HEADER": name,
        "SITE_SYMBOL": "swap_horiz",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon(colour)}],
        "SITE_URL": None,
        "SHOW_HISTORY": True,
        "SHOW_VIEW_ON_SITE": False,
        "BORDER_RADIUS": "6px",
        "COLORS": {"primary": accent(colour)},
        "STYLES": [lambda request: static("portal/console.css"), lambda request: static("portal/pages.css")],
        "SCRIPTS": [
            lambda request: static("portal/console.js"),
            lambda request: static("portal/pages.js"),
            lambda request: static("portal/sources.js"),
        ],
        "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": NAVIGATION},
    }
