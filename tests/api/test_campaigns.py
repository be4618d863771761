"""What a partner can know of campaigns and their forms."""

from __future__ import annotations

import jsonschema  # type: ignore[import-untyped]

from leads.models import Campaign, Field
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem


def test_a_publishers_key_finds_its_campaigns_with_what_it_needs_to_send(reach: Partner, instance: Instance) -> None:
    Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Of others")
    [found] = reach.get("campaigns").json()["data"]
    assert (found["id"], found["status"]) == (instance.campaign.pk, "active")
    assert found["links"] == [{"id": instance.link.pk, "name": "Newsletter", "channel": "Email"}]
    [form] = found["forms"]
    schema = reach.call("GET", form["schema"].removeprefix("/api/v1/")).json()
    sent = reach.post(form["leads"].removeprefix("/api/v1/"), schema["examples"][0])
    assert sent.status_code == 201
    assert reach.get(f"campaigns/{instance.campaign.pk}").json() == found


def test_the_schema_is_of_the_form_as_it_is_now(reach: Partner, instance: Instance) -> None:
    path = f"campaigns/{instance.campaign.pk}/forms/{instance.form.pk}/schema"
    first = reach.get(path).json()
    jsonschema.Draft202012Validator.check_schema(first)
    assert first["required"] == ["firstName", "email"]
    assert "former" not in first["properties"]
    Field.objects.filter(name="telephone").update(required=True)
    assert "telephone" in reach.get(path).json()["required"]


def test_campaigns_of_others_and_their_forms_are_not_found(server: str, reach: Partner, instance: Instance) -> None:
    other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Of others")
    other.forms.add(instance.form)
    stranger = Partner(server, key_for(campaign=other))
    for partner, campaign in ((reach, other), (stranger, instance.campaign)):
        problem(partner.get(f"campaigns/{campaign.pk}"), 404, "not-found")
        problem(partner.get(f"campaigns/{campaign.pk}/forms/{instance.form.pk}/schema"), 404, "not-found")
    problem(reach.get(f"campaigns/{instance.campaign.pk}/forms/999/schema"), 404, "not-found")
