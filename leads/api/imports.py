"""Imports over the partner API: a file is brought and checked, its good rows are taken in, what failed is given back.

The same work as in the console (leads/imports.py), in the same two steps: nothing becomes a lead before somebody has said that
there is a lawful basis.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from django.db.models import QuerySet
from django.http import QueryDict, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from leads.activity import ActivityError, activity_cancel, activity_progress
from leads.api.calls import partner_of
from leads.api.problems import raised, wrong
from leads.api.repeating import IDEMPOTENCY_KEY, done_once
from leads.api.resources import Done, Rows, acting, given_in, listing, reading, state_filter, together
from leads.catalog import compiled_form
from leads.import_files import import_offer, import_upload
from leads.imports import KIND, import_check, import_failures_csv, import_take
from leads.models import Activity, ActivityItem, ActivityState, Campaign, ItemState, PartnerKey
from leads.partner_keys import READS_LEADS, Partner
from leads.tables import Unreadable

TAG = "Imports"
SCOPE = "imports:write"
# Named in the document, by portal/partner_api.py.
STATES, ROW_STATES = ActivityState.values, ItemState.values


class ImportRequestSerializer(serializers.Serializer[Any]):
    """A file of leads, and where they belong."""

    file = serializers.FileField(help_text="CSV in any usual encoding, or XLSX. The first row names the columns.")
    campaign = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    form = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="Needed where the campaign has several."
    )
    publisher = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="Whose leads they are; a publisher’s key needs none.",
    )
    link = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    mapping = serializers.CharField(
        required=False,
        max_length=100_000,
        help_text="JSON: column name to input name. Else as these columns were mapped before, or by their names.",
    )
    test = serializers.BooleanField(required=False, default=False, help_text="They become test leads.")


class ProgressSerializer(serializers.Serializer[Any]):
    """How many rows there are and what became of them; null is not known yet."""

    total = serializers.IntegerField()
    done = serializers.IntegerField()
    failed = serializers.IntegerField()
    skipped = serializers.IntegerField()
    left = serializers.IntegerField()
    per_second = serializers.FloatField(allow_null=True)
    seconds_left = serializers.FloatField(allow_null=True)


class ImportSerializer(serializers.Serializer[Any]):
    """An import: how far it has come."""

    id = serializers.IntegerField()
    file = serializers.SerializerMethodField(help_text="The name of the file.")
    campaign = serializers.IntegerField(source="campaign_id")
    form = serializers.SerializerMethodField()
    publisher = serializers.SerializerMethodField()
    test = serializers.SerializerMethodField()
    mapping = serializers.SerializerMethodField(help_text="Column name to input name.")
    state = serializers.ChoiceField(
        choices=STATES,
        help_text="preparing: rows are being checked. ready: it waits to be taken in. running; done; cancelled; failed.",
    )
    reason = serializers.CharField(help_text="Why it failed, in words.")
    progress = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)

    def get_file(self, row: Activity) -> str:
        return str(row.params["name"])

    def get_form(self, row: Activity) -> int:
        return int(row.params["form"])

    def get_publisher(self, row: Activity) -> int:
        return int(row.params["publisher"])

    def get_test(self, row: Activity) -> bool:
        return bool(row.params["test"])

    @extend_schema(responses={"type": "object", "additionalProperties": {"type": "string"}})
    def get_mapping(self, row: Activity) -> dict[str, str]:
        return cast(dict[str, str], row.params["mapping"])

    @extend_schema(responses=ProgressSerializer)
    def get_progress(self, row: Activity) -> Any:
        return ProgressSerializer(activity_progress(row)).data


class TakeSerializer(serializers.Serializer[Any]):
    lawful_basis = serializers.BooleanField(
        help_text="true: there is a lawful basis for having and passing on this data. It is kept with the import and each lead."
    )


class RowSerializer(serializers.Serializer[Any]):
    """A row of the file, as the file counts them, and what became of it."""

    row = serializers.IntegerField(source="subject")
    state = serializers.ChoiceField(choices=ROW_STATES)
    words = serializers.CharField(help_text="What is wrong, a line for each column; or what came of it.")
    lead = serializers.IntegerField(source="lead_id", allow_null=True)


def _own(partner: Partner) -> QuerySet[Activity]:
    rows = partner.bound(Activity.objects.filter(kind=KIND.name, campaign__isnull=False), publisher="params__publisher")
    if partner.publisher_id is None:
        return rows
    # What staff imported for a publisher is theirs: it has columns that were not meant for it, and waits for them.
    keys = PartnerKey.objects.filter(publisher=partner.publisher_id).values_list("pk", flat=True)
    return rows.filter(params__key__in=list(keys))


def _take(partner: Partner, activity: Activity, given: Mapping[str, Any]) -> Done:
    if not given["lawful_basis"]:
        raise wrong("lawful_basis", "Without a lawful basis nothing is taken in.")
    taken = import_take(activity, lawful_basis=True, by=f"The key {partner.name}")
    return Done(ImportSerializer(taken).data, "Good rows taken in, with a lawful basis.")


def _cancel(partner: Partner, activity: Activity, given: Mapping[str, Any]) -> Done:
    stopped = activity_cancel(activity.pk)
    activity.refresh_from_db()
    return Done(ImportSerializer(activity).data, "Stopped." if stopped else "")


IMPORTS = Rows("import", _own, ImportSerializer, refusals={ActivityError: lambda error: raised("conflict", str(error))})
_ROWS = Rows(
    "row",
    lambda activity: ActivityItem.objects.filter(activity=activity.pk),
    RowSerializer,
    [state_filter(ROW_STATES)],
    within=IMPORTS,
)
_COMMON: Any = {"scope": SCOPE, "tag": TAG}


class _Bring(APIView):
    scopes = {"POST": SCOPE}
    parser_classes = (MultiPartParser,)

    @extend_schema(
        operation_id="import_start",
        tags=[TAG],
        summary="Bring a file of leads",
        description="Every row is checked in the background, as leads that are posted. Then the import is ready, and waits to be "
        "taken in. The same file brought twice makes no lead twice, with another link neither; as a test and then for real it is taken "
        "in once each.",
        parameters=[IDEMPOTENCY_KEY],
        request={"multipart/form-data": ImportRequestSerializer},
        responses={202: ImportSerializer},
    )
    @done_once()
    def post(self, request: Request) -> Response:
        given = given_in(ImportRequestSerializer, dict(cast(QueryDict, request.data).items()))
        partner = partner_of(request)
        campaign = partner.campaigns().filter(pk=given["campaign"]).first()
        if campaign is None:
            raise wrong("campaign", "There is no such campaign.")
        publisher_id = given.get("publisher", partner.publisher_id)
        if publisher_id is None:
            raise wrong("publisher", "Say whose leads these are.")
        if not partner.sees(publisher_id=publisher_id):
            raise wrong("publisher", "There is no such publisher.")
        by = f"The key {partner.name}"
        form_id = _form_id(campaign, given.get("form"))
        form = compiled_form(campaign.pk, form_id)
        if form is None:
            raise wrong("form", "This campaign has no such form.")
        mapping = _mapping(given.get("mapping", ""))
        try:
            file = import_upload(given["file"], name=given["file"].name, campaign=campaign, by=by)
        except Unreadable as error:
            raise wrong("file", str(error)) from None
        try:
            activity = import_check(
                file,
                form_id=form_id,
                publisher_id=publisher_id,
                link_id=given.get("link"),
                mapping=import_offer(file, form) if mapping is None else mapping,
                test=given["test"],
                by=by,
                token="",
                key_id=partner.key_id,
            )
        except ActivityError as error:
            file.delete()
            raise wrong("mapping" if "column" in str(error) or "input" in str(error) else "", str(error)) from None
        headers = {"Location": f"/api/v1/imports/{activity.pk}"}
        return Response(ImportSerializer(activity).data, status.HTTP_202_ACCEPTED, headers=headers)


ImportsView = together(
    listing(IMPORTS, **_COMMON, operation="imports_list", summary="Imports", page="ImportPage"), _Bring
)
ImportView = reading(IMPORTS, **_COMMON, operation="import_read", summary="How far an import is")
ImportTakeView = acting(
    IMPORTS,
    _take,
    **_COMMON,
    operation="import_take",
    summary="Take the good rows in",
    description="Once the import is ready. Said again it does no harm.",
    takes=TakeSerializer,
    answers=ImportSerializer,
    status=status.HTTP_202_ACCEPTED,
)
ImportCancelView = acting(
    IMPORTS,
    _cancel,
    **_COMMON,
    operation="import_cancel",
    summary="Stop an import",
    description="What was taken in stays. One that has ended is left as it is.",
    answers=ImportSerializer,
)
ImportRowsView = listing(
    _ROWS, **_COMMON, operation="import_rows", summary="What became of each row", page="ImportRowPage"
)


class ImportFailuresView(APIView):
    scopes = {"GET": SCOPE}

    @extend_schema(
        operation_id="import_failures",
        tags=[TAG],
        summary="The rows that failed, as a file",
        description="As they were brought, with their row and what is wrong behind: to be mended and brought again. In clear, so "
        f"for the key that brought the file, and for keys with `{READS_LEADS}`.",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.STR)},
    )
    def get(self, request: Request, import_id: int) -> StreamingHttpResponse:
        activity, partner = IMPORTS.one(request, import_id), partner_of(request)
        if READS_LEADS not in partner.scopes and activity.params.get("key") != partner.key_id:
            words = f"It has what people typed: this needs the key that brought the file, or one with the scope {READS_LEADS}."
            raise raised("scope-missing", words)
        return StreamingHttpResponse(
            _encoded(import_failures_csv(activity)),
            content_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": f'attachment; filename="failed-{activity.pk}.csv"',
                "Cache-Control": "no-store",
            },
        )


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece.encode()


def _form_id(campaign: Campaign, form_id: int | None) -> int:
    if form_id is not None:
        return form_id
    known = list(campaign.forms.order_by("pk").values_list("pk", flat=True)[:2])
    if not known:
        raise wrong("campaign", "This campaign has no form yet.")
    if len(known) > 1:
        raise wrong("form", "This campaign has several forms: say which.")
    return known[0]


def _mapping(text: str) -> dict[str, str] | None:
    if not text:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise wrong("mapping", 'Write JSON: {"Column": "input name"}.')
    return found
