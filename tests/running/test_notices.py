"""A running portal tells by itself: no person, no command, a real mail server."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.mail_server import MailServer, text
from tests.running.portal_process import PortalProcess

pytestmark = pytest.mark.portals

SET_UP = """
from django.core.management import call_command
call_command("migrate", verbosity=0)
from integrations.models import Integration, NoticeTarget
from leads.models import Advertiser, Campaign
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
words = "The client's instance refused the API_Key."
Integration.objects.create(
    campaign=campaign, name="Acme EU", connector="convertr_connect", state="needs_a_look", state_reason=words
)
NoticeTarget.objects.create(name="Erin", email="erin@example.test")
"""
SWITCH_ON = "from integrations.models import Integration; Integration.objects.update(state='on', state_reason='')"


def wait(portal: PortalProcess, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, portal.log()
        time.sleep(0.05)


def test_a_running_portal_mails_when_an_integration_stops_and_when_it_is_on_again(tmp_path: Path) -> None:
    server = MailServer()
    env = {"EMAIL_URL": f"smtp://127.0.0.1:{server.port}", "NOTICE_LOOK_SECONDS": "0.3", "SWEEP_SECONDS": "0.5"}
    portal = PortalProcess(tmp_path / "portal", env=env)
    try:
        portal.manage("shell", "-c", SET_UP)
        portal.start()
        wait(portal, lambda: len(server.mails) == 1)
        assert "refused the API_Key" in text(server.mails[0])
        assert f"{portal.url}/admin/integrations/integration/" in text(server.mails[0])
        portal.manage("shell", "-c", SWITCH_ON)
        wait(portal, lambda: len(server.mails) == 2)
        assert server.subjects[1] == "Acme EU (Spring webinar) is no longer stopped"
    finally:
        if portal.process is not None:
            portal.kill()
        server.stop()
