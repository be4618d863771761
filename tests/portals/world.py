"""Two live portals: the sender's, and its client's. Leads go one way, verdicts the other; this file sets them up and looks at
them from outside, through their public APIs."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from tests.running.portal_process import ROOT, PortalProcess, free_port

OPEN_LIMITS = {"RATE_LIMIT_CALLS": "0", "RATE_LIMIT_RESULTS": "0", "RATE_LIMIT_LOGINS": "0"}

_SET_UP = """
import json, sys
from leads.access import api_key_issue
from leads.models import *
campaign = Campaign.objects.create(advertiser=Advertiser.objects.create(name="Acme"), name="Spring webinar")
form = Form.objects.create(name="Sign-up")
for position, (name, kind) in enumerate((("firstName", "text"), ("email", "email"), ("country", "text"))):
    Field.objects.create(form=form, name=name, label=name.title(), type=kind, required=kind == "email", position=position)
campaign.forms.add(form)
keys = {{}}
for name in {publishers!r}:
    publisher = Publisher.objects.create(name=name)
    campaign.contracts.create(publisher=publisher)
    keys[publisher.pk] = api_key_issue(publisher=publisher)
User.objects.create_superuser("admin", "admin@example.test", "a-password-for-tests")
print(json.dumps({{"campaign_id": campaign.pk, "form_id": form.pk, "keys": keys}}))
"""

_CONNECT = """
from integrations.delivery import integration_switch
from integrations.discovery import integration_discover
from integrations.models import Integration
integration = Integration.objects.create(
    campaign_id={campaign_id}, name="Acme EU", connector="convertr_connect",
    settings={settings!r}, secrets={{"api_key": {api_key!r}}},
)
integration_discover(integration)
integration.refresh_from_db()
integration_switch(integration, on=True)
"""


class Portal:
    """A portal with a campaign, a form and publishers, seen from outside."""

    def __init__(self, process: PortalProcess, publishers: list[str]) -> None:
        self.process = process
        process.migrate()
        done = process.manage("shell", "-v0", "-c", _SET_UP.format(publishers=publishers))
        found = json.loads(done.stdout.strip().splitlines()[-1])
        self.campaign_id: int = found["campaign_id"]
        self.form_id: int = found["form_id"]
        self.keys: dict[int, str] = {int(pk): key for pk, key in found["keys"].items()}
        self.url = process.url
        self.token = ""

    def connect_to(self, client: Portal, subdomain: str) -> None:
        """Configure, pull, map and switch on a Convertr Connect integration to the client's campaign."""
        publisher_id, key = next(iter(client.keys.items()))
        settings = {
            "subdomain": subdomain,
            "campaign_id": str(client.campaign_id),
            "publisher_id": str(publisher_id),
            "global_form": str(client.form_id),
        }
        self.process.manage(
            "shell", "-v0", "-c", _CONNECT.format(campaign_id=self.campaign_id, settings=settings, api_key=key)
        )

    def leads(self) -> list[dict[str, Any]]:
        """All leads, as the instance's own users read them."""
        if not self.token:
            login = {"username": "admin", "password": "a-password-for-tests"}
            self.token = requests.post(f"{self.url}/api/login", data=login, timeout=20).json()["access_token"]
        found: list[dict[str, Any]] = []
        while True:
            page = requests.get(
                f"{self.url}/api/v4/leads",
                params={"itemsPerPage": 100, "page": len(found) // 100 + 1},
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=20,
            ).json()
            found += page["hydra:member"]
            if len(found) >= page["hydra:totalItems"] or not page["hydra:member"]:
                return found

    def flags(self) -> dict[str, tuple[str, str, str]]:
        """E-mail to flag, reason code and comment of each lead."""
        flags = {lead["email"]: lead["leadFlag"] or {"name": "", "reason": "", "comment": ""} for lead in self.leads()}
        return {email: (flag["name"], flag["reason"], flag["comment"]) for email, flag in flags.items()}

    def post_leads(self, emails: list[str], *, patience_s: float = 60) -> Counter[int]:
        """Post leads as the publishers' clients do, one client a publisher, all at once; statuses by count.

        A client that got no answer, or a 503, sends the same lead again under the same idempotency key.
        """
        ids = list(self.keys)
        shares = [emails[place :: len(ids)] for place in range(len(ids))]
        with ThreadPoolExecutor(len(ids)) as pool:
            work = [pool.submit(self._post_as, pk, share, patience_s) for pk, share in zip(ids, shares, strict=True)]
            return sum((done.result() for done in work), Counter[int]())

    def _post_as(self, publisher_id: int, emails: list[str], patience_s: float) -> Counter[int]:
        answers: Counter[int] = Counter()
        session = requests.Session()
        deadline = time.monotonic() + patience_s

        def until_answered(send: Callable[[], requests.Response]) -> requests.Response:
            while True:
                try:
                    response = send()
                    if response.status_code != 503:
                        return response
                except requests.RequestException:
                    pass
                assert time.monotonic() < deadline, "the portal does not answer"
                time.sleep(0.05)

        grant = {
            "grant_type": "https://convertr.cvtr.io/grants/api_key",
            "client_id": "convertr-connect",
            "client_secret": "convertr-connect-public-client",
            "api_key": self.keys[publisher_id],
        }
        token = until_answered(lambda: session.get(f"{self.url}/oauth/v2/token", params=grant, timeout=20)).json()
        where = f"{self.url}/api/v2.4/publisher/{publisher_id}/forms/{self.form_id}/campaign/{self.campaign_id}/leads"
        for email in emails:
            response = until_answered(
                lambda email=email: session.post(  # type: ignore[misc]
                    where,
                    data={"form[firstName]": email.partition("@")[0], "form[email]": email, "form[country]": "DE"},
                    headers={"Authorization": f"Bearer {token['access_token']}", "Idempotency-Key": f"mine-{email}"},
                    timeout=20,
                )
            )
            answers[response.status_code] += 1
        return answers

    def flag(self, lead: Mapping[str, Any], flag: str, reason: str, comment: str) -> None:
        """Flag a lead as a receiver further down would."""
        action = "validate" if flag == "valid" else "invalidate"
        response = requests.post(
            f"{self.url}/api/webhook/{action}/{lead['leadHash']}",
            data={"reason": reason, "user": "maria", "comment": comment},
            timeout=20,
        )
        assert response.status_code == 201, response.text


def wait_until(what: Callable[[], bool], seconds: float) -> float:
    """Wait until it is so; how long it took. AssertionError when it is not so in time."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() - start < seconds, "it did not come about in time"
        time.sleep(0.05)
    return time.monotonic() - start


class ServerProcess(PortalProcess):
    """A portal in its production form: a web process, a worker and beat of their own."""

    def __init__(self, directory: Path, **options: Any) -> None:
        super().__init__(directory, **options)
        self.others: list[subprocess.Popen[bytes]] = []

    def start(self, **options: Any) -> PortalProcess:
        super().start(command=["manage.py", "serve", "--workers", "1", "--port", str(self.port)], **options)
        for name, arguments in (
            ("worker", ["worker", "--pool", "threads", "--concurrency", "8", "--loglevel", "WARNING"]),
            ("beat", ["beat", "--loglevel", "WARNING"]),
        ):
            with (self.directory / f"{name}.log").open("ab") as log:
                self.others.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "celery", "-A", "portal", *arguments],
                        cwd=ROOT,
                        env=self.env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                    )
                )
        return self

    def kill(self) -> None:
        for process in self.others:
            process.kill()
            process.wait()
        self.others.clear()
        super().kill()


class World:
    """The two portals, and how to tell them of each other before they start."""

    def __init__(self, directory: Path, *, sender: Mapping[str, str] = {}, server: bool = False) -> None:
        ports = {"ours": free_port(), "acme": free_port()}
        shared = {
            **OPEN_LIMITS,
            "CONVERTR_INSTANCES": ",".join(f"{name}=http://127.0.0.1:{port}" for name, port in ports.items()),
            "CONNECTOR_PRIVATE_HOSTS": ",".join(f"127.0.0.1:{port}" for port in ports.values()),
            "LOG_LEVEL": "WARNING",
        }
        kind = ServerProcess if server else PortalProcess
        ours = kind(directory / "ours", port=ports["ours"], env={**shared, "INSTANCE_SUBDOMAIN": "ours", **sender})
        acme = PortalProcess(directory / "acme", port=ports["acme"], env={**shared, "INSTANCE_SUBDOMAIN": "acme"})
        self.client = Portal(acme, ["The agency"])
        acme.start()
        self.sender = Portal(ours, ["Northbeam", "Leadwell", "Brightpath", "Quorum"])
        self.sender.connect_to(self.client, "acme")
        ours.start()

    def close(self) -> None:
        for portal in (self.sender, self.client):
            if portal.process.process is not None and portal.process.process.poll() is None:
                portal.process.kill()


def emails(count: int) -> list[str]:
    return [f"lead{number}@example.test" for number in range(count)]
