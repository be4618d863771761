"""What people get when they take leads out as a file."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable
from itertools import islice
from typing import Any

import openpyxl
import pytest

from integrations.bulk import bulk_dry_run, bulk_start
from integrations.exports import DELIVERY_COLUMNS
from integrations.models import Integration
from integrations.selections import LeadSelection
from leads.activity import ActivityError
from leads.exports import leads_csv, leads_xlsx
from leads.lead_search import LeadSearch
from leads.models import Field, Form, Lead
from leads.tables import Layout, table_rows
from tests.activity.conftest import MakeDelivery, MakeLead

pytestmark = pytest.mark.django_db


def read_csv(pieces: Iterable[bytes]) -> list[dict[str, str]]:
    text = b"".join(pieces).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_csv_tells_what_became_of_each_lead_and_has_every_field(
    acme: Integration, lead: MakeLead, delivery: MakeDelivery
) -> None:
    made = lead(phone="07123456789", country="DE")
    Lead.objects.filter(pk=made.pk).update(
        flag="invalid",
        reason_code="wrong_number",
        comment='Said "no", twice;\nbye',
        score=90,
        max_score=100,
        failed_jobs=[{"job": 1, "name": "Name", "reason": "Ada has no last name."}],
        enriched={"dialCode": "49"},
    )
    delivery(made, acme, "refused")
    delivery(made, acme, "delivered", verdict="invalid")
    row = read_csv(leads_csv(Lead.objects.all(), more=DELIVERY_COLUMNS))[0]
    assert row == {
        "id": str(made.pk),
        "hash": made.hash.hex,
        "received": made.created_at.isoformat(timespec="seconds"),
        "campaign": "Spring webinar",
        "publisher": "Northbeam",
        "link": "",
        "status": "valid",
        "flag": "invalid",
        "reason code": "wrong_number",
        "comment": 'Said "no", twice;\nbye',
        "score": "90",
        "max score": "100",
        "held": "",
        "failed jobs": "Ada has no last name.",
        "added values": "dialCode: 49",
        "deliveries": "Acme EU: delivered",
        "verdicts": "Acme EU: invalid",
        "firstName": "Ada",
        "email": made.values["email"],
        "phone": "07123456789",
        "country": "DE",
        "other values": "",
    }


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_csv_is_a_formula_and_an_import_reads_what_was_meant(lead: MakeLead, start: str) -> None:
    hostile = start + 'HYPERLINK("http://evil.example","x")'
    lead(firstName=hostile)
    pieces = b"".join(leads_csv(Lead.objects.all()))
    assert read_csv([pieces])[0]["firstName"] == "'" + hostile
    rows = list(table_rows(io.BytesIO(pieces), Layout("csv", "utf-8-sig", ",")))
    assert hostile in rows[1][1]


def test_the_mark_for_spreadsheets_can_be_left_out(lead: MakeLead) -> None:
    lead(firstName="Zoë")
    assert b"".join(leads_csv(Lead.objects.all())).startswith(b"\xef\xbb\xbf")
    plain = b"".join(leads_csv(Lead.objects.all(), bom=False))
    assert plain.startswith(b"id,")
    assert "Zoë" in plain.decode()


def test_a_workbook_opens_with_every_value_as_text(lead: MakeLead) -> None:
    lead(firstName="=1+1", phone="+44 7123 456789", country="<&>\x0bÜ" + "x" * 40_000)
    data = b"".join(leads_xlsx(Lead.objects.all(), more=DELIVERY_COLUMNS))
    assert zipfile.ZipFile(io.BytesIO(data)).testzip() is None
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    names, cells = sheet.iter_rows()
    row = {name.value: cell for name, cell in zip(names, cells, strict=True)}
    assert (row["firstName"].value, row["firstName"].data_type) == ("=1+1", "s")
    assert row["phone"].value == "+44 7123 456789"
    assert row["country"].value.startswith("<&>\ufffdÜxxx")
    assert len(row["country"].value) == 32_767


def test_who_may_not_read_personal_data_gets_it_masked(lead: MakeLead) -> None:
    values = {"firstName": "Ada", "email": "ada@example.test", "phone": "07123456789", "country": "DE"}
    lead(**values)
    Lead.objects.update(comment="ada@example.test called")
    for data in (
        b"".join(leads_csv(Lead.objects.all(), masked=True)),
        *map(
            zipfile.ZipFile(io.BytesIO(b"".join(leads_xlsx(Lead.objects.all(), masked=True)))).read,
            ["xl/worksheets/sheet1.xml"],
        ),
    ):
        assert b"ada@example.test" not in data
        assert b"07123456789" not in data
        assert b"Ada" not in data
        assert b"DE" in data


def test_values_of_fields_that_were_renamed_or_removed_are_in_the_file(lead: MakeLead) -> None:
    lead(phone="07123456789", jobTitle="Editor")
    Field.objects.filter(name="phone").update(name="telephone")
    Field.objects.filter(name="country").delete()
    row = read_csv(leads_csv(Lead.objects.all()))[0]
    assert row["telephone"] == ""
    assert row["other values"] == "phone: 07123456789; jobTitle: Editor"
    masked = read_csv(leads_csv(Lead.objects.all(), masked=True))[0]
    assert masked["other values"] == "phone: 0•••; jobTitle: E•••"


def test_leads_of_a_form_that_came_while_the_file_was_written_are_in_it_masked(
    lead: MakeLead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leads.exports.CHUNK", 1)
    first = lead()
    pieces = leads_csv(Lead.objects.all(), masked=True)
    begun = next(pieces)
    newer = lead(phone="07123456789")
    Lead.objects.filter(pk=newer.pk).update(form=Form.objects.create(name="Second form"))
    rows = read_csv([begun, *pieces])
    assert [row["id"] for row in rows] == [str(first.pk), str(newer.pk)]
    assert rows[1]["firstName"] == "A•••"


def test_a_workbook_that_can_t_hold_all_leads_is_refused_before_it_begins(
    lead: MakeLead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("leads.exports.XLSX_LEADS", 2)
    for _ in range(2):
        lead()
    everything = LeadSelection(search=LeadSearch())
    bulk_start("export", everything, {"format": "xlsx"}, by="erin", token="a")
    lead()
    for ask in (
        lambda: bulk_dry_run("export", everything, {"format": "xlsx"}),
        lambda: bulk_start("export", everything, {"format": "xlsx"}, by="erin", token="b"),
    ):
        with pytest.raises(ActivityError, match="Choose CSV"):
            ask()
    assert bulk_dry_run("export", everything, {"format": "csv"}).will == 3
    monkeypatch.setattr("leads.xlsx.MOST_ROWS", 3)
    with pytest.raises(ValueError, match="rows at the most"):
        b"".join(leads_xlsx(Lead.objects.all()))


def test_a_download_begins_before_all_is_read(lead: MakeLead, django_assert_max_num_queries: Any) -> None:
    for _ in range(5):
        lead()
    with django_assert_max_num_queries(5):
        assert len(list(islice(leads_csv(Lead.objects.all()), 1))) == 1
