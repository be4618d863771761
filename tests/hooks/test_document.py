"""What docs/webhooks.md says of signatures and messages is so: its code runs here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from integrations.kit.signing import secret_new
from integrations.models import Delivery
from integrations.webhooks.subscriptions import TEST, subscription_rotate, subscription_test
from leads.models import Campaign, Flag, Happening, Subscription
from leads.status import FlagChange, leads_flag
from tests.engine.test_webhooks import Receiver
from tests.hooks.test_subscriptions import take_in, told
from tests.running.portal_process import ROOT

pytestmark = pytest.mark.django_db

TEXT = (ROOT / "docs" / "webhooks.md").read_text()
Tell = Callable[..., list[Delivery]]


@pytest.fixture
def verified() -> Callable[..., bool]:
    """The function that partners are told to use."""
    space: dict[str, Any] = {}
    exec(TEXT.split("```python\n")[1].split("```")[0], space)
    found: Callable[..., bool] = space["verified"]
    return found


def test_the_ten_lines_verify_what_we_sign_and_nothing_else(
    verified: Callable[..., bool], webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    old = receiver.secret
    new = subscription_rotate(webhook)
    subscription_test(webhook)
    tell(webhook)
    [message] = receiver.seen
    for secret in (old, new):
        assert verified(secret, message.headers, message.body)
    assert not verified(secret_new(), message.headers, message.body)
    assert not verified(old, message.headers, message.body + b" ")
    assert not verified(old, {**message.headers, "webhook-id": "another"}, message.body)
    stale = str(int(message.headers["webhook-timestamp"]) - 301)
    assert not verified(old, {**message.headers, "webhook-timestamp": stale}, message.body)


def test_the_table_has_every_type_of_message() -> None:
    assert set(re.findall(r"^\| `([a-z.]+)` \|", TEXT, re.MULTILINE)) == {*Happening.values, TEST}


def test_the_example_has_the_names_that_messages_have(
    campaign: Campaign, webhook: Subscription, receiver: Receiver, tell: Tell
) -> None:
    example = eval(TEXT.split("```json\n")[1].split("```")[0], {"null": None, "false": False})
    leads_flag({take_in(campaign): FlagChange(Flag.INVALID, "DUP")})
    tell(webhook)
    message = next(message for message in told(receiver) if message["type"] == "lead.flagged")
    assert message.keys() == example.keys()
    assert message["data"].keys() == example["data"].keys()
    assert message["data"]["lead"].keys() == example["data"]["lead"].keys()
