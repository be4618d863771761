"""What people get when they bring leads in a file."""

from __future__ import annotations

import csv
import datetime as dt
import io
import zipfile
from collections.abc import Callable
from typing import Any

import openpyxl
import pytest
from django.conf import LazySettings
from django.core.files.base import ContentFile
from django.utils import timezone

from integrations.bulk import activity_failures_csv
from leads.activity import ActivityError, activity_results
from leads.catalog import compiled_form
from leads.import_files import import_offer, import_problems, import_sample, import_upload
from leads.imports import import_check, import_take, imports_purge
from leads.models import Activity, ActivityItem, Campaign, ImportChunk, ImportFile, Lead, LeadChange
from leads.tables import DELIMITERS, ENCODING_WORDS, Unreadable
from tests.activity.conftest import worked

pytestmark = pytest.mark.django_db

HEADER = "First name,E-mail,Telephone,Country\n"
GOOD = HEADER + "Ada,ada@example.test,07123456789,DE\nGrace,grace@example.test,,\n"

Upload = Callable[..., ImportFile]
Check = Callable[..., Activity]


@pytest.fixture
def upload(campaign: Campaign) -> Upload:
    def make(content: bytes | str, name: str = "leads.csv") -> ImportFile:
        data = content if isinstance(content, bytes) else content.encode()
        return import_upload(ContentFile(data), name=name, campaign=campaign, by="grace")

    return make


@pytest.fixture
def check(campaign: Campaign) -> Check:
    def make(file: ImportFile, mapping: dict[str, str] | None = None, **more: Any) -> Activity:
        form = compiled_form(campaign.pk, campaign.forms.get().pk)
        assert form is not None
        asked = {
            "form_id": form.id,
            "publisher_id": campaign.publishers.get().pk,
            "link_id": None,
            "mapping": import_offer(file, form) if mapping is None else mapping,
            "test": False,
            "by": "grace",
            "token": "",
            **more,
        }
        return worked(import_check(file, **asked))

    return make


def take(activity: Activity) -> Activity:
    return worked(import_take(activity, lawful_basis=True, by="grace"))


def test_a_good_file_becomes_leads_after_a_person_said_so(upload: Upload, check: Check, campaign: Campaign) -> None:
    link = campaign.links.create(name="Newsletter")
    activity = check(upload(GOOD), link_id=link.pk)
    assert (activity.state, activity.total, activity.failed) == ("ready", 2, 0)
    assert not Lead.objects.exists()
    activity = take(activity)
    assert (activity.state, activity.done) == ("done", 2)
    ada = Lead.objects.get(email_key="ada@example.test")
    assert ada.values == {"firstName": "Ada", "email": "ada@example.test", "phone": "07123456789", "country": "DE"}
    assert (ada.status, ada.processed_at, ada.link, ada.publisher.name) == ("pending", None, link, "Northbeam")
    change = LeadChange.objects.get(lead=ada)
    assert (change.kind, change.by) == ("imported", "grace")
    assert change.comment == "Row 2 of “leads.csv”; lawful basis confirmed by grace."
    assert {item.lead_id for item in activity_results(activity)} == set(Lead.objects.values_list("pk", flat=True))


def test_bad_rows_are_listed_before_anything_is_taken_in_and_can_be_mended(upload: Upload, check: Check) -> None:
    content = HEADER + "Ada,ada@example.test,,DE\nGrace,no-address,12,XX\n,,0712345,\n\nAlan,alan@example.test,,\n"
    activity = check(upload(content))
    assert (activity.state, activity.total, activity.failed) == ("ready", 4, 2)
    second, third = activity_results(activity, state="failed")
    assert second.subject == 3
    assert second.words.splitlines() == [
        "Column B (E-mail): This is not an e-mail address.",
        "Column C (Telephone): This is not a telephone number. Write it as (+44)07123456789.",
        "Column D (Country): This is not one of the choices.",
    ]
    assert (third.subject, third.words) == (4, "Column B (E-mail): This value is missing.")
    assert take(activity).done == 2

    failed = list(csv.reader(io.StringIO("".join(activity_failures_csv(activity)), newline="")))
    assert failed[0] == ["First name", "E-mail", "Telephone", "Country", "Row in the file", "What is wrong"]
    assert failed[1][:5] == ["Grace", "no-address", "12", "XX", "3"]
    mended = "".join(activity_failures_csv(activity)).replace("no-address,12,XX", "grace@example.test,,")
    again = take(check(upload(mended)))
    assert (again.done, again.failed) == (1, 1)
    assert sorted(Lead.objects.values_list("email_key", flat=True)) == [
        "ada@example.test",
        "alan@example.test",
        "grace@example.test",
    ]


def test_without_the_tick_for_a_lawful_basis_nothing_is_taken_in(upload: Upload, check: Check) -> None:
    activity = check(upload(GOOD))
    with pytest.raises(ActivityError, match="lawful basis"):
        import_take(activity, lawful_basis=False, by="grace")
    assert worked(activity).state == "ready"
    assert not Lead.objects.exists()


def test_the_same_file_twice_makes_no_lead_twice(upload: Upload, check: Check) -> None:
    take(check(upload(GOOD)))
    again = take(check(upload(GOOD, name="other-name.csv")))
    assert (again.done, again.skipped) == (0, 2)
    assert activity_results(again)[0].words == "This row of the same file was taken in before."
    assert Lead.objects.count() == 2


def test_taking_in_twice_is_one_click(upload: Upload, check: Check) -> None:
    activity = check(upload(GOOD))
    import_take(activity, lawful_basis=True, by="grace")
    import_take(activity, lawful_basis=True, by="grace")
    assert worked(activity).done == 2
    assert Lead.objects.count() == 2


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_files_as_spreadsheets_save_them_are_read(delimiter: str, encoding: str, upload: Upload, check: Check) -> None:
    content = GOOD.replace(",", delimiter).replace("Ada", 'Zoë "Z" Müller').replace("\n", "\r\n")
    content = content.replace('Zoë "Z" Müller', '"Zoë ""Z"" Müller"')
    file = upload(content.encode(encoding))
    assert (DELIMITERS[file.delimiter], ENCODING_WORDS[file.encoding]) != ("", "")
    assert file.columns == ["First name", "E-mail", "Telephone", "Country"]
    take(check(file))
    assert Lead.objects.get(email_key="ada@example.test").values["firstName"] == 'Zoë "Z" Müller'


def test_the_line_by_which_excel_is_told_the_delimiter_is_no_row(upload: Upload) -> None:
    assert upload("sep=;\n" + GOOD.replace(",", ";")).columns[0] == "First name"


def workbook(*rows: list[Any]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_workbook_that_openpyxl_saved_is_read_with_its_numbers_and_dates(
    campaign: Campaign, upload: Upload, check: Check
) -> None:
    campaign.forms.get().fields.create(name="born", type="date", label="Born")
    campaign.forms.get().fields.create(name="agreed", type="checkbox")
    rows = workbook(
        ["First name", "E-mail", "Telephone", "Born", "Agreed", None],
        ["Ünal", "u@example.test", 447123456789.0, dt.date(1990, 5, 1), True, None],
        [None] * 6,
        ["Ada", "bad", None, None, None, None],
    )
    activity = check(upload(rows, "leads.xlsx"))
    assert [item.subject for item in activity_results(activity, state="failed")] == [4]
    take(activity)
    assert Lead.objects.get().values == {
        "firstName": "Ünal",
        "email": "u@example.test",
        "phone": "447123456789",
        "born": "1990-05-01",
        "agreed": "1",
    }


def zipped(**parts: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"  \n \n", "empty"),
        (b"\xd0\xcf\x11\xe0" + b"x" * 600, "old kind"),
        (b"PK\x03\x04broken", "damaged"),
        (zipped(**{"readme.txt": b"hello"}), "no .xlsx workbook"),
        (zipped(**{"xl/workbook.xml": b"<a/>", "xl/sharedStrings.xml": b"\0" * 140_000_000}), "too large inside"),
        (zipped(**{"xl/workbook.xml": b"<a/>"}), "can’t be read|can't be read"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 4, "no table|can't be read"),
        (b"name\n\x81\x8d\xff\n", "can't be read"),
        (",".join(f"c{n}" for n in range(501)).encode(), "500 columns"),
    ],
)
def test_what_is_no_table_is_refused_with_words(content: bytes, words: str, upload: Upload) -> None:
    with pytest.raises(Unreadable, match=words):
        upload(content)
    assert not ImportChunk.objects.exists()


def test_a_quotation_mark_that_is_never_closed_ends_the_check_with_its_row(upload: Upload, check: Check) -> None:
    activity = check(upload(GOOD + '"Ada,' + "x" * 200_000))
    assert activity.state == "failed"
    assert activity.reason == "Row 4 can't be read: is a quotation mark in it opened and never closed?"


def test_too_many_rows_or_bytes_are_refused(upload: Upload, check: Check, settings: LazySettings) -> None:
    settings.IMPORT_MAX_ROWS = 1
    assert check(upload(GOOD)).reason == "This file has more than 1 rows. Split it."
    settings.IMPORT_MAX_BYTES = 50
    with pytest.raises(Unreadable, match="Split it"):
        upload(GOOD)


def test_columns_are_offered_by_name_and_then_as_they_were_mapped_before(
    upload: Upload, check: Check, campaign: Campaign
) -> None:
    form = compiled_form(campaign.pk, campaign.forms.get().pk)
    assert form is not None
    file = upload("Vorname,E-Mail,Telephone\nAda,ada@example.test,\n")
    assert import_sample(file) == [["Ada", "ada@example.test", ""]]
    assert import_offer(file, form) == {"E-Mail": "email", "Telephone": "phone"}
    check(file, {"Vorname": "firstName", "E-Mail": "email", "Telephone": ""})
    other = upload("e-mail,telephone,VORNAME\ngrace@example.test,,Grace\n")
    assert import_offer(other, form) == {"e-mail": "email", "VORNAME": "firstName"}


def test_a_mapping_that_can_not_work_is_refused_in_words(upload: Upload, check: Check, campaign: Campaign) -> None:
    form = compiled_form(campaign.pk, campaign.forms.get().pk)
    assert form is not None
    file = upload(GOOD)
    assert import_problems(file, form, {}) == [
        "Map at least one column.",
        "E-mail is required, and no column is mapped to it.",
    ]
    assert import_problems(file, form, {"First name": "email", "E-mail": "email"}) == [
        "E-mail is filled from two columns."
    ]
    with pytest.raises(ActivityError, match="E-mail is required"):
        check(file, {"First name": "firstName"})
    campaign.contracts.update(active=False)
    with pytest.raises(ActivityError, match="may not send leads"):
        check(file)


def test_a_form_that_changes_between_check_and_taking_in_lets_nothing_bad_through(
    upload: Upload, check: Check, campaign: Campaign
) -> None:
    activity = check(upload(GOOD))
    campaign.forms.get().fields.filter(name="phone").update(required=True)
    activity = take(activity)
    assert (activity.done, activity.failed) == (1, 1)
    assert activity_results(activity)[0].words == "Column C (Telephone): This value is missing."


def test_rows_of_taken_leads_and_the_file_are_not_kept_twice(upload: Upload, check: Check) -> None:
    activity = take(check(upload(GOOD + "bad,row,,\n")))
    assert not ImportChunk.objects.exists()
    assert [item.subject for item in ActivityItem.objects.exclude(data=None)] == [4]
    assert imports_purge() == 0
    ImportFile.objects.update(created_at=timezone.now() - dt.timedelta(days=15))
    assert imports_purge() == 1
    assert not ActivityItem.objects.exclude(data=None).exists()
    assert "Row in the file" in "".join(activity_failures_csv(activity))


def test_a_second_check_of_a_file_takes_the_place_of_the_first(upload: Upload, check: Check) -> None:
    file = upload(GOOD)
    first = check(file, {"E-mail": "email"})
    second = check(file)
    first.refresh_from_db()
    assert (first.state, second.state) == ("cancelled", "ready")
    with pytest.raises(ActivityError, match="cancelled"):
        import_take(first, lawful_basis=True, by="grace")


def test_leads_imported_as_a_test_are_test_leads(upload: Upload, check: Check) -> None:
    take(check(upload(GOOD), test=True))
    assert set(Lead.objects.values_list("status", flat=True)) == {"test"}


def test_a_file_that_was_tried_as_a_test_is_then_taken_in_for_real_and_each_of_both_once(
    upload: Upload, check: Check
) -> None:
    take(check(upload(GOOD), test=True))
    real = take(check(upload(GOOD)))
    assert (real.done, real.skipped) == (2, 0)
    assert sorted(Lead.objects.values_list("status", flat=True)) == ["pending", "pending", "test", "test"]
    for test, words in [
        (True, "This row of the same file was taken in as a test before."),
        (False, "This row of the same file was taken in before."),
    ]:
        again = take(check(upload(GOOD), test=test))
        assert (again.done, again.skipped) == (0, 2)
        assert activity_results(again)[0].words == words
    assert Lead.objects.count() == 4


def test_the_same_file_with_another_link_makes_no_second_leads_and_says_which_link_they_have(
    upload: Upload, check: Check, campaign: Campaign
) -> None:
    link, other = campaign.links.create(name="Newsletter"), campaign.links.create(name="Banner")
    take(check(upload(GOOD), link_id=link.pk))
    again = take(check(upload(GOOD), link_id=other.pk))
    assert (again.done, again.skipped) == (0, 2)
    assert activity_results(again)[0].words == (
        "This row of the same file was taken in before, with the link “Newsletter”: a lead keeps the link that it came with."
    )
    assert set(Lead.objects.values_list("link", flat=True)) == {link.pk}
