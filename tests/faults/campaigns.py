"""What stands in the portals before a run: a campaign each, and integrations that are pulled, mapped and switched on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from tests.running.portal_process import ROOT, PortalProcess

_SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSBmYXVsdCBydW5zIGFsb25l"

_SET_UP = """
import json
from django.core.management import call_command
call_command("migrate", verbosity=0)
from leads.access import api_key_issue
from leads.models import *
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
form = Form.objects.create(name="Sign-up")
for position, (name, kind) in enumerate((("firstName", "text"), ("email", "email"), ("country", "text"))):
    Field.objects.create(form=form, name=name, label=name.title(), type=kind, required=kind == "email", position=position)
campaign.forms.add(form)
publisher = Publisher.objects.create(name="Northbeam")
campaign.contracts.create(publisher=publisher)
print(json.dumps({"campaign": campaign.pk, "form": form.pk, "publisher": publisher.pk, "key": api_key_issue(publisher=publisher)}))
"""

_CONNECT = """
import json
from integrations.delivery import integration_switch
from integrations.discovery import integration_discover
from integrations.models import Integration
for wish in json.loads({wishes!r}):
    integration = Integration.objects.create(campaign_id={campaign}, **wish)
    integration_discover(integration)
    integration.refresh_from_db()
    integration_switch(integration, on=True)
"""


def set_up(portal: PortalProcess) -> Any:
    """Tables, a campaign with a form and a publisher: their ids and its key. In one process, since each costs seconds to start."""
    code = "import django; django.setup()\n" + _SET_UP
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=portal.env, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def connect(
    portal: PortalProcess, own: Mapping[str, Any], ports: Mapping[str, int], acme: Mapping[str, Any] = {}
) -> None:
    """Configure, pull, map and switch on the portal's integrations: ours has one to acme, acme the one to down."""
    wishes = (
        [_hook(ports["keyed"]), _instance("plain"), _instance("again", in_doubt="again")]
        if acme
        else [_instance("down")]
    )
    if acme:
        wishes.append(_instance("acme", acme["campaign"], acme["publisher"], acme["form"], acme["key"]))
    portal.manage("shell", "-v0", "-c", _CONNECT.format(wishes=json.dumps(wishes), campaign=own["campaign"]))


def _instance(
    name: str, campaign: int = 204, publisher: int = 31, form: int = 75, key: str = "a-key", **more: str
) -> dict[str, Any]:
    settings = {
        "subdomain": name,
        "campaign_id": str(campaign),
        "publisher_id": str(publisher),
        "global_form": str(form),
    }
    return {"name": name, "connector": "convertr_connect", "settings": settings, "secrets": {"api_key": key}, **more}


def _hook(port: int) -> dict[str, Any]:
    settings = {"url": f"http://127.0.0.1:{port}/hook", "fields": "email*", "knows_repeats": True}
    return {"name": "keyed", "connector": "webhook", "settings": settings, "secrets": {"signing_secret": _SECRET}}
