"""A process of the portal's own that makes what the bench sends to: campaigns, integrations, sources.

    DATABASE_URL=… python -m bench.portal_work < tasks

A task is one line of JSON with `do`: "begin" (an empty database gets its tables, a publisher and a form), "campaigns" (ports: one
campaign for each, delivered to the client at that port), "pause" (integrations) or "source" (port: where its events would
go); the answer is one line.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from integrations.delivery import integration_switch  # noqa: E402
from integrations.discovery import integration_discover  # noqa: E402
from integrations.kit.signing import secret_new  # noqa: E402
from integrations.models import Integration  # noqa: E402
from leads.access import api_key_issue  # noqa: E402
from leads.models import Advertiser, Campaign, Field, Form, Publisher, Source  # noqa: E402
from leads.partner_keys import SCOPES, key_issue  # noqa: E402

FIELDS = ("firstName", "lastName", "email", "phone", "company", "jobTitle", "country", "employees")


def begin() -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    form = Form.objects.create(name="Sign-up")
    for position, name in enumerate(FIELDS):
        kind = "email" if name == "email" else "text"
        Field.objects.create(form=form, name=name, label=name, type=kind, required=kind == "email", position=position)
    publisher = Publisher.objects.create(name="Northbeam")
    Advertiser.objects.create(name="Acme")
    partner = key_issue(name="Northbeam’s system", scopes=SCOPES, made_by="bench", publisher=publisher)
    return {"key": api_key_issue(publisher=publisher), "partner_key": partner.secret}


def campaigns(ports: list[int]) -> list[dict[str, Any]]:
    return [_campaign(port, "leads") for port in ports]


def pause(integrations: list[int]) -> str:
    """What is due for them waits from now on, as when a person pauses them."""
    for integration in Integration.objects.filter(pk__in=integrations):
        integration_switch(integration, on=False)
    return "ok"


def source(port: int) -> dict[str, Any]:
    """A source whose campaign has a destination, paused: its events are routed and wait for it."""
    made = _campaign(port, "events")
    pause([made["integration"]])
    new = Source.objects.create(campaign_id=made["campaign"], name="Shop")
    return {"source": new.pk, "write_key": new.write_key, "campaign": made["campaign"]}


def _campaign(port: int, sends: str) -> dict[str, Any]:
    form, publisher = Form.objects.get(), Publisher.objects.get()
    taken = set(Campaign.objects.values_list("name", flat=True))
    name = next(name for number in itertools.count() if (name := f"Campaign {number}") not in taken)
    campaign = Campaign.objects.create(advertiser=Advertiser.objects.get(), name=name)
    campaign.forms.add(form)
    campaign.contracts.create(publisher=publisher)
    url = f"http://127.0.0.1:{port}/leads"
    integration = Integration.objects.create(
        campaign=campaign,
        name="Their system",
        connector="webhook",
        cap_day=1_000_000_000,
        settings={"url": url, "knows_repeats": True, "fields": ", ".join(FIELDS), "sends": sends},
        secrets={"signing_secret": secret_new()},
    )
    integration_discover(integration)
    integration.refresh_from_db()
    integration_switch(integration, on=True)
    path = f"/api/v2.4/publisher/{publisher.pk}/forms/{form.pk}/campaign/{campaign.pk}/leads"
    return {"campaign": campaign.pk, "integration": integration.pk, "path": path}


def main() -> None:
    """Do the tasks that come in, one after the other, until standard input ends."""
    tasks: dict[str, Callable[..., Any]] = {"begin": begin, "campaigns": campaigns, "pause": pause, "source": source}
    for line in sys.stdin:
        task: dict[str, Any] = json.loads(line)
        print(json.dumps(tasks[task.pop("do")](**task)), flush=True)


if __name__ == "__main__":
    main()
