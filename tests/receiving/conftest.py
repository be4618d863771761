"""A receiving instance: one campaign with a form, publishers and their keys, and the server that people's clients talk to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import uvicorn

from leads import catalog, limits
from leads.access import api_key_issue, tokens_for_api_key
from leads.models import Advertiser, Campaign, CampaignPublisher, Field, Form, Link, Publisher, User


@dataclass
class Instance:
    """What a test needs to know of the instance."""

    campaign: Campaign
    form: Form
    publisher: Publisher
    other_publisher: Publisher
    link: Link
    api_key: str
    campaign_key: str

    @property
    def token(self) -> str:
        tokens = tokens_for_api_key(self.api_key)
        assert tokens is not None
        return tokens.access_token


@pytest.fixture(autouse=True)
def _fresh_limits_and_catalog(settings: Any) -> None:
    settings.CATALOG_MAX_AGE_SECONDS = 0
    # The hasher of tests: what is tested here is who may come in, not how slow a hash is.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    catalog.forget()
    limits.forget()


@pytest.fixture(scope="session")
def server(django_db_setup: None) -> Iterator[str]:
    """The real application behind the real server, on a free port; it stops before its database goes."""
    from portal.asgi import application
    from portal.http import HttpProtocol

    config = uvicorn.Config(
        application, host="127.0.0.1", port=0, http=HttpProtocol, ws="none", log_level="warning", lifespan="on"
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not running.started:
        assert time.monotonic() < deadline, "the server did not start"
        assert thread.is_alive(), "the server stopped"
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(20)
    assert not thread.is_alive()


@pytest.fixture
def instance(transactional_db: None) -> Instance:
    advertiser = Advertiser.objects.create(name="Acme")
    form = Form.objects.create(name="Whitepaper")
    fields: list[dict[str, Any]] = [
        {"name": "firstName", "label": "First name", "required": True, "max_length": 50},
        {"name": "email", "label": "E-mail", "type": "email", "required": True},
        {"name": "telephone", "type": "telephone"},
        {"name": "industry", "type": "choice", "choices": [{"value": "it", "label": "IT"}, {"value": "law"}]},
        {"name": "topics", "type": "choice", "multiple": True, "choices": [{"value": "a"}, {"value": "b, c"}]},
        {"name": "optin", "type": "optin"},
        {"name": "source", "type": "hidden"},
        {"name": "former", "enabled": False},
    ]
    for position, values in enumerate(fields):
        Field.objects.create(form=form, position=position, **values)
    campaign = Campaign.objects.create(advertiser=advertiser, name="Spring")
    campaign.forms.add(form)
    publisher, other_publisher = (Publisher.objects.create(name=name) for name in ("Reach", "Grow"))
    CampaignPublisher.objects.create(campaign=campaign, publisher=publisher)
    CampaignPublisher.objects.create(campaign=campaign, publisher=other_publisher)
    User.objects.create_user("pat", "pat@reach.example", "publish-it", publisher=publisher)
    User.objects.create_superuser("sam", "sam@acme.example", "manage-it")
    link = Link.objects.create(
        campaign=campaign, name="Newsletter", channel="Email", destination="https://acme.example/"
    )
    return Instance(
        campaign=campaign,
        form=form,
        publisher=publisher,
        other_publisher=other_publisher,
        link=link,
        api_key=api_key_issue(publisher=publisher),
        campaign_key=api_key_issue(campaign=campaign),
    )


GOOD = {"form[firstName]": "Ada", "form[email]": "ada@example.test"}


class Client:
    """A publisher's client: it has logged in and knows the addresses."""

    def __init__(self, server: str, instance: Instance) -> None:
        self.server = server
        self.instance = instance
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {instance.token}"

    @property
    def leads_path(self) -> str:
        found = self.instance
        return f"/api/v2.4/publisher/{found.publisher.pk}/forms/{found.form.pk}/campaign/{found.campaign.pk}/leads"

    @property
    def webhook_path(self) -> str:
        return f"/webhook/campaign/{self.instance.campaign.pk}/global-form/{self.instance.form.pk}/leads"

    def get(self, path: str, **given: Any) -> requests.Response:
        return self.session.get(self.server + path, timeout=20, **given)

    def post(self, path: str, data: Any = None, **given: Any) -> requests.Response:
        return self.session.post(self.server + path, data=data, timeout=20, **given)

    def send(self, data: Any = None, **given: Any) -> requests.Response:
        """Send a lead by the publisher API."""
        return self.post(self.leads_path, GOOD if data is None else data, **given)

    def result(self, lead_id: int, **params: str) -> requests.Response:
        return self.get(f"/api/v2.1/publisher/{self.instance.publisher.pk}/lead-result/{lead_id}", params=params)


@pytest.fixture
def client(server: str, instance: Instance) -> Iterator[Client]:
    """A logged-in publisher's client. (pytest-django's own of this name speaks to Django only.)"""
    made = Client(server, instance)
    yield made
    made.session.close()
