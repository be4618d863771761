"""A delivery that is replayed: as a new one, with the mapping of now or of then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from integrations.bulk import activity_work, bulk_start
from integrations.dispatch import integration_deliver
from integrations.models import Delivery, Integration
from integrations.processr import leads_process
from integrations.selections import DeliverySelection
from integrations.versions import mapping_save
from leads.models import Lead
from tests.engine.client import Client


@pytest.mark.parametrize(("mapping", "company"), [("now", "New Ltd"), ("then", "Old Ltd")])
def test_a_replay_goes_out_with_the_mapping_that_was_chosen(
    integration: Integration, client: Client, lead: Callable[..., Lead], mapping: str, company: str
) -> None:
    def send_company(name: str) -> None:
        integration.mappings.filter(remote_key="form[company]").update(source="fixed", value=name)
        integration.refresh_from_db()
        mapping_save(integration, "grace")

    send_company("Old Ltd")
    lead()
    leads_process()
    integration_deliver(integration.pk)
    first = Delivery.objects.get()
    send_company("New Ltd")
    chosen = DeliverySelection(ids=(first.pk,))
    activity_work(bulk_start("replay", chosen, {"mapping": mapping}, by="grace", token="once").pk)
    integration_deliver(integration.pk)
    again = Delivery.objects.get(resend=True)
    assert [sent["form[company]"] for sent in client.leads] == ["Old Ltd", company]
    assert (again.state, again.mapping_version == first.mapping_version) == ("delivered", mapping == "then")
