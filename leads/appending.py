"""What is added to a lead after it came. Its keys follow above (integrations/judging/appended.py)."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from leads.forms import email_key, email_names
from leads.models import Field, Lead, LeadChange
from leads.models.lead import Via
from leads.status import leads_note


def lead_append(lead_id: int, data: Mapping[str, str], *, by: str = "", via: Via = Via.WEBHOOK) -> bool:
    """Add to or overwrite a lead's values (facts, section 8, lead-append); False where there is no such lead.

    What comes for a lead whose personal data was erased is not kept; its history says that something came.
    """
    with transaction.atomic():
        lead = Lead.objects.select_for_update().only("values", "form_id", "erased_at").filter(pk=lead_id).first()
        if lead is None:
            return False
        if lead.erased_at is not None:
            words = f"{len(data):,} value{'' if len(data) == 1 else 's'} came and {'was' if len(data) == 1 else 'were'} not kept:"
            said = {lead_id: f"{words} its personal data was erased."}
            leads_note(LeadChange.Kind.APPENDED, said, by=by, data={}, via=via)
            return True
        lead.values = {**lead.values, **data}
        fields = Field.objects.filter(form=lead.form_id).values_list("name", "type")
        lead.email_key = email_key(email_names(fields), lead.values)
        lead.save(update_fields=["values", "email_key"])
        leads_note(LeadChange.Kind.APPENDED, {lead_id: ""}, by=by, data={lead_id: dict(data)}, via=via)
    return True
