"""What a client's system says of leads: valid, invalid or returned, with its reason, one or many in a call.

A word on a delivery goes into the ledger of status updates, as those do that are pushed or polled, and is applied in the order in
which the client decided (integrations/reconciliation.py). Where no single delivery is meant it is a flag of the lead itself.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from drf_spectacular.utils import OpenApiExample, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from integrations.kit.contract import Verdict
from integrations.models import Delivery, StatusUpdate
from integrations.reconciliation import Message, messages_store
from leads import clock
from leads.api.addresses import LeadConverter
from leads.api.calls import partner_of
from leads.api.problems import ProblemRaised, Wrong, invalid, raised, wrongs_of
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.callback_hash import lead_hashes
from leads.database import uuid7
from leads.models import Flag
from leads.models.lead import Via
from leads.partner_keys import Partner
from leads.publisher_api.callbacks import Flagging, flags_store
from leads.status import FlagChange

TAG = "Verdicts"
BATCH = 500
# What a client's own id of an event is made unique with, as the id of a change here.
_EVENTS = uuid.UUID("5f0c2a52-3f0e-4c3e-9d5e-6f6f4cf7b1a8")
NO_LEAD = "There is no such lead."
NO_DELIVERY = "No lead was delivered under this reference."
SEVERAL = "Leads of several integrations have this reference: say which integration is meant."
NOT_THERE = "This lead did not go to this integration."


class VerdictSerializer(serializers.Serializer[Any]):
    """What became of one lead."""

    lead = serializers.RegexField(
        f"^({LeadConverter.regex})$",
        required=False,
        help_text="Our id of the lead, its hash, or the callback hash that travelled with it. This, or reference.",
    )
    reference = serializers.CharField(
        required=False, max_length=200, help_text="Your own id of it: what your system answered when it was delivered."
    )
    integration = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=10**18 - 1,
        help_text="The integration that it was delivered by, where that could be more than one.",
    )
    verdict = serializers.ChoiceField(choices=[flag for flag in Flag.values if flag])
    reason_code = serializers.CharField(required=False, allow_blank=True, max_length=200, default="")
    comment = serializers.CharField(required=False, allow_blank=True, max_length=2_000, default="")
    by = serializers.CharField(required=False, allow_blank=True, max_length=200, default="", help_text="Who decided.")
    decided_at = serializers.DateTimeField(
        required=False, help_text="When it was decided. The latest counts, in whatever order they come. Left out: now."
    )
    event_id = serializers.RegexField(
        r"^[A-Za-z0-9_-]{1,64}$", required=False, help_text="Your id of this word: said twice, it counts once."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("lead" in attrs) == ("reference" in attrs):
            raise serializers.ValidationError("Say which lead is meant: lead or reference, one of them.")
        return attrs


class VerdictAnswerSerializer(serializers.Serializer[Any]):
    row = serializers.IntegerField(help_text="Its place from 1.")
    status = serializers.ChoiceField(choices=[200, 404, 422])
    lead = serializers.IntegerField(required=False, help_text="Our id of the lead.")
    errors = serializers.ListField(child=serializers.DictField(), required=False)  # type: ignore[assignment]


class VerdictAnswersSerializer(serializers.Serializer[Any]):
    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    rows = VerdictAnswerSerializer(many=True)


@dataclass(frozen=True, slots=True)
class Word:
    """One verdict that was read, and its row."""

    row: int
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Meant:
    """The lead that a word is about, and the delivery of it, where one alone is meant."""

    lead_id: int
    lead_hash: uuid.UUID
    delivery_id: int | None


class NotMeant(Exception):
    """A word is about nothing that this key sees: the status of its answer, the field, and why."""

    def __init__(self, status: int, field: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.wrong = Wrong(field, words, pointer=f"/{field}")


_EXAMPLE = {
    "lead": "018f6b1c2d3e7a4b8c9d0e1f2a3b4c5d",
    "verdict": "returned",
    "reason_code": "DUP",
    "comment": "We have had this person since March.",
    "decided_at": "2026-03-04T10:30:00Z",
}


class VerdictsView(APIView):
    scopes = {"POST": "verdicts:write"}

    @extend_schema(
        operation_id="verdicts_create",
        tags=[TAG],
        summary="Say what became of leads",
        description="One verdict as an object, or many as an array; of many each has an answer, and the good ones count. "
        "Said twice it counts once; in whatever order they come, the one that was decided last counts.",
        parameters=[IDEMPOTENCY_KEY],
        request=PolymorphicProxySerializer(
            "Verdicts", [VerdictSerializer, VerdictSerializer(many=True)], resource_type_field_name=None
        ),
        responses=VerdictAnswersSerializer,
        examples=[OpenApiExample("A lead that was returned", _EXAMPLE, request_only=True)],
    )
    @done_once()
    def post(self, request: Request) -> Response:
        said: Any = request.data
        single = not isinstance(said, list)
        given: Sequence[Any] = [said] if single else said
        if len(given) > settings.API_MAX_ROWS:
            raise raised(
                "too-large", f"Send at most {settings.API_MAX_ROWS:,} verdicts in one call. None of them counts."
            )
        if not given:
            raise ProblemRaised(invalid([Wrong("", "There is no verdict in it.")]))
        rows = _worked(partner_of(request), given)
        if single and rows[0]["status"] != 200:
            raise _single(rows[0])
        accepted = sum(row["status"] == 200 for row in rows)
        for row in rows:
            if "errors" in row:
                row["errors"] = [wrong.as_json() for wrong in row["errors"]]
        return Response({"accepted": accepted, "refused": len(rows) - accepted, "rows": rows})


def _single(row: Mapping[str, Any]) -> ProblemRaised:
    errors = [Wrong(wrong.field, wrong.message, pointer=wrong.pointer) for wrong in row["errors"]]
    if row["status"] == 404:
        return raised("not-found", errors[0].message, errors)
    return ProblemRaised(invalid(errors))


def _worked(partner: Partner, given: Sequence[Any]) -> list[dict[str, Any]]:
    """An answer for each of the verdicts, in their order."""
    answers: dict[int, dict[str, Any]] = {}
    words: list[Word] = []
    for number, each in enumerate(given, 1):
        read = VerdictSerializer(data=each)
        if read.is_valid():
            words.append(Word(number, read.validated_data))
        else:
            errors = [
                Wrong(wrong.field, wrong.message, row=number, pointer=wrong.pointer) for wrong in wrongs_of(read.errors)
            ]
            answers[number] = {"row": number, "status": 422, "errors": errors}
    for start in range(0, len(words), BATCH):
        answers |= _batch(partner, words[start : start + BATCH])
    return [answers[number] for number in range(1, len(given) + 1)]


def _batch(partner: Partner, words: Sequence[Word]) -> dict[int, dict[str, Any]]:
    found = _Found(partner, [word.said for word in words])
    answers: dict[int, dict[str, Any]] = {}
    meant: list[tuple[Word, Meant]] = []
    for word in words:
        try:
            about = found.meant(word.said)
        except NotMeant as problem:
            wrong = Wrong(problem.wrong.field, problem.wrong.message, row=word.row, pointer=problem.wrong.pointer)
            answers[word.row] = {"row": word.row, "status": problem.status, "errors": [wrong]}
        else:
            meant.append((word, about))
            answers[word.row] = {"row": word.row, "status": 200, "lead": about.lead_id}
    with transaction.atomic():
        messages_store([_message(word.said, about.delivery_id) for word, about in meant if about.delivery_id])
        flags_store([_flagging(partner, word.said, about) for word, about in meant if not about.delivery_id])
    return answers


def _message(said: Mapping[str, Any], delivery_id: int) -> Message:
    verdict = Verdict(
        state=said["verdict"],
        reason_code=said["reason_code"],
        comment=said["comment"],
        by=said["by"],
        decided_at=said.get("decided_at"),
        event_id=said.get("event_id", ""),
        raw="",
    )
    return Message(delivery_id, verdict, StatusUpdate.Via.PUSHED, clock.now())


def _flagging(partner: Partner, said: Mapping[str, Any], about: Meant) -> Flagging:
    event_id = said.get("event_id")
    return Flagging(
        about.lead_hash,
        FlagChange(
            flag=Flag(said["verdict"]),
            reason_code=said["reason_code"],
            comment=said["comment"],
            by=said["by"] or partner.name,
            via=Via.API,
            decided_at=said.get("decided_at"),
            event_id=uuid.uuid5(_EVENTS, f"{partner.key_id}:{about.lead_id}:{event_id}") if event_id else uuid7(),
        ),
    )


class _Found:
    """The leads and deliveries that a batch of words can be about, of those that its key sees."""

    def __init__(self, partner: Partner, said: Sequence[Mapping[str, Any]]) -> None:
        named = [each["lead"] for each in said if "lead" in each]
        meant_by = {each: [uuid.UUID(each), *lead_hashes(each)] for each in named if len(each) == 32}
        leads = list(_leads(partner, named, meant_by).values_list("pk", "hash"))
        self._leads: dict[str, tuple[int, uuid.UUID]] = {}
        known = {}
        for pk, lead_hash in leads:
            self._leads[str(pk)] = known[lead_hash] = (pk, lead_hash)
        for text, hashes in meant_by.items():
            for each in hashes:
                if each in known:
                    self._leads[text] = known[each]
        seen = Delivery.objects.filter(kind=Delivery.Kind.LEAD, lead__in=partner.leads()).order_by("pk")
        # The latest delivery of each lead to each integration.
        self._of_lead: dict[int, dict[int, int]] = defaultdict(dict)
        of_leads = seen.filter(lead__in=[pk for pk, _ in leads])
        for lead_id, integration_id, pk in of_leads.values_list("lead_id", "integration_id", "pk"):
            self._of_lead[lead_id][integration_id] = pk
        self._of_reference: dict[str, dict[int, Meant]] = defaultdict(dict)
        references = {each["reference"] for each in said if "reference" in each}
        # Said twice, so that a partial index is seen to hold all that can be found.
        of_references = seen.filter(reference__in=references, reference__gt="")
        for reference, integration_id, pk, lead_id, lead_hash in of_references.values_list(
            "reference", "integration_id", "pk", "lead_id", "lead__hash"
        ):
            self._of_reference[reference][integration_id] = Meant(lead_id, lead_hash, pk)

    def meant(self, said: Mapping[str, Any]) -> Meant:
        """What a word is about. Raises NotMeant."""
        integration = said.get("integration")
        if "reference" in said:
            return self._by_reference(said["reference"], integration)
        known = self._leads.get(_plain(said["lead"]))
        if known is None:
            raise NotMeant(404, "lead", NO_LEAD)
        deliveries = self._of_lead[known[0]]
        if integration is not None:
            if integration not in deliveries:
                raise NotMeant(404, "integration", NOT_THERE)
            return Meant(*known, deliveries[integration])
        return Meant(*known, *deliveries.values()) if len(deliveries) == 1 else Meant(*known, None)

    def _by_reference(self, reference: str, integration: int | None) -> Meant:
        found = self._of_reference[reference]
        if integration is not None:
            found = {pk: meant for pk, meant in found.items() if pk == integration}
        if not found:
            raise NotMeant(404, "reference", NO_DELIVERY)
        if len(found) > 1:
            raise NotMeant(422, "integration", SEVERAL)
        return next(iter(found.values()))


def _plain(named: str) -> str:
    return named if len(named) == 32 else str(int(named))


def _leads(partner: Partner, named: Iterable[str], meant_by: Mapping[str, Iterable[uuid.UUID]]) -> Any:
    hashes = {each for hashes in meant_by.values() for each in hashes}
    ids = [int(each) for each in named if len(each) != 32]
    mine = partner.leads()
    return mine.filter(hash__in=hashes) | mine.filter(pk__in=ids)
