"""What each bulk action asks for, and who may ask for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django import forms
from django.db.models import QuerySet

from integrations.delivery import accepting
from integrations.models import Delivery, Integration, IntegrationState
from leads.admin.flagging import FlagForm
from leads.models import Flag, ReasonCode
from leads.rights import ERASE, EXPORT
from leads.skin import Select, Textarea

CHANGE_LEAD = "leads.change_lead"
CHANGE_DELIVERY = "integrations.change_delivery"
NO_INTEGRATION = "No integration of these leads’ campaigns takes leads. Add one, configure it, and switch it on first."


class _Nothing(forms.Form):
    def params(self) -> dict[str, Any]:
        return {}


class _To(forms.Form):
    """At which integrations: those of the chosen leads' campaigns."""

    integrations = forms.MultipleChoiceField(
        label="Integrations",
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one integration."},
    )

    def __init__(self, *args: Any, rows: QuerySet[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        campaigns = set(rows.order_by().values_list("campaign_id", flat=True).distinct())
        offered = [row for found in accepting(campaigns, Delivery.Kind.LEAD).values() for row in found]
        field = self.fields["integrations"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(row.pk), _offer(row)) for row in offered]
        self.nothing_to_offer = "" if offered else NO_INTEGRATION
        if len(offered) == 1:
            self.initial.setdefault("integrations", [str(offered[0].pk)])

    def params(self) -> dict[str, Any]:
        return {"integrations": [int(pk) for pk in self.cleaned_data.get("integrations", ())]}


class _Mark(_To):
    comment = forms.CharField(
        required=False, max_length=10_000, widget=Textarea(attrs={"rows": 3}), help_text="How you know. Kept with each."
    )

    def params(self) -> dict[str, Any]:
        return {**super().params(), "comment": self.cleaned_data.get("comment", "").strip()}


class _Accept(forms.Form):
    comment = forms.CharField(
        required=False,
        max_length=10_000,
        widget=Textarea(attrs={"rows": 3}),
        help_text="For colleagues. Kept with each.",
    )

    def params(self) -> dict[str, Any]:
        return {"comment": self.cleaned_data.get("comment", "").strip()}


class _Reject(forms.Form):
    """Why: a reason code for invalid leads, or a comment."""

    reason_code = forms.CharField(required=False, label="Reason code", widget=Select)
    comment = forms.CharField(
        required=False,
        max_length=10_000,
        widget=Textarea(attrs={"rows": 3}),
        help_text="Whoever sent the lead reads it. One of the two is needed.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        codes = ReasonCode.objects.filter(active=True, flag=Flag.INVALID)
        self.fields["reason_code"].widget.choices = [
            ("", "No reason code"), *((code.code, str(code)) for code in codes)
        ]  # fmt: skip

    def params(self) -> dict[str, Any]:
        said = self.cleaned_data
        return {"reason_code": said.get("reason_code", ""), "comment": said.get("comment", "").strip()}


class _Reprocess(forms.Form):
    deliver_again = forms.BooleanField(
        required=False, label="Send what goes out also to integrations that had the lead already"
    )

    def params(self) -> dict[str, Any]:
        return {"deliver_again": bool(self.cleaned_data.get("deliver_again"))}


class _Erase(forms.Form):
    sure = forms.BooleanField(
        label="Yes, erase it. It can’t be brought back.", error_messages={"required": "Tick that you are sure."}
    )

    def params(self) -> dict[str, Any]:
        return {}


class _Export(forms.Form):
    format = forms.ChoiceField(
        choices=[("csv", "CSV"), ("xlsx", "Excel workbook (XLSX)")], widget=forms.RadioSelect, initial="csv"
    )

    def params(self) -> dict[str, Any]:
        return {"format": self.cleaned_data.get("format") or "csv"}


class _Replay(forms.Form):
    """With which mapping: the page's words say what each means."""

    mapping = forms.ChoiceField(
        choices=[("now", "The mapping of now"), ("then", "The mapping that each went out with")],
        widget=forms.RadioSelect,
        initial="now",
        required=False,
    )

    def params(self) -> dict[str, Any]:
        return {"mapping": self.cleaned_data.get("mapping") or "now"}


def _offer(row: Integration) -> str:
    on = row.state == IntegrationState.ON
    note = "" if on else f" – {row.get_state_display().lower()}: leads wait there until it is on"
    return f"{row.name} ({row.campaign.name}){note}"


@dataclass(frozen=True, slots=True)
class Asking:
    """One action as its page asks for it."""

    name: str
    title: str
    right: str
    help: str = ""
    form: Callable[..., Any] = _Nothing
    danger: bool = False
    wants_rows: bool = False
    verb: str = ""
    """What its button says before and, with `behind`, behind the number of rows; its title where there is none."""
    behind: str = ""


LEAD_ASKINGS: Mapping[str, Asking] = MappingProxyType(
    {
        asking.name: asking
        for asking in (
            Asking(
                "flag", "Flag", CHANGE_LEAD, "The instance that a lead came from is told of its flag.", form=FlagForm
            ),
            Asking(
                "accept", "Accept", CHANGE_LEAD,
                "For leads that wait in Caution or beyond a cap: each goes out, and one in Caution is valid from then on.",
                form=_Accept,
            ),
            Asking(
                "reject", "Reject", CHANGE_LEAD,
                "For leads that wait in Caution or beyond a cap: each is invalid, and goes to nobody.",
                form=_Reject,
            ),
            Asking(
                "reprocess", "Reprocess", CHANGE_LEAD,
                "Each is judged once more by the jobs of now. What becomes valid goes out; what the client has already is not sent "
                "a second time.",
                form=_Reprocess,
            ),
            Asking(
                "deliver", "Deliver", CHANGE_LEAD,
                "What was handed to an integration before is left out. Each lead goes to integrations of its own campaign only.",
                form=_To, wants_rows=True,
            ),
            Asking(
                "resend", "Send again", CHANGE_LEAD,
                "Each goes out once more as a new delivery, also where the client has it already, unless they accepted it.",
                form=_To, wants_rows=True, verb="Send", behind="again",
            ),
            Asking(
                "mark_delivered", "Mark delivered", CHANGE_LEAD,
                "For what reached the client in another way. Nothing is sent.", form=_Mark, wants_rows=True,
                verb="Mark", behind="delivered",
            ),
            Asking(
                "mark_undelivered", "Mark undelivered", CHANGE_LEAD,
                "For what the client never got, whatever their instance said. Nothing is sent.",
                form=_Mark, wants_rows=True, verb="Mark", behind="undelivered",
            ),
            Asking(
                "export", "Export", EXPORT,
                "The next page gathers them and offers the file, which is made while it is downloaded. It holds personal data as "
                "far as you may see it: keep it no longer than you need it.",
                form=_Export,
            ),
            Asking(
                "erase", "Erase personal data", ERASE,
                "Names, addresses and all else that was posted go for good, here and in what was sent and answered. "
                "Counts, states, reason codes and times stay. Whoever got a lead keeps what they got.",
                form=_Erase, danger=True, verb="Erase",
            ),
        )
    }
)  # fmt: skip

DELIVERY_ASKINGS: Mapping[str, Asking] = MappingProxyType(
    {
        asking.name: asking
        for asking in (
            Asking(
                "release", "Release", CHANGE_DELIVERY,
                "Sends what waits, is in doubt or was given up, with the mapping of now. What is in doubt may arrive twice.",
            ),
            Asking(
                "replay", "Replay", CHANGE_DELIVERY,
                "Sends each lead once more to the same integration, as a new delivery.",
                form=_Replay,
            ),
        )
    }
)  # fmt: skip
