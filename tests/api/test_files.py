"""Files over the API: leads brought as spreadsheets save them, what failed given back, and leads taken along as a stream."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from urllib3.filepost import encode_multipart_formdata

from integrations.bulk import activity_work
from leads.import_files import import_upload
from leads.imports import import_check
from leads.models import Activity, Campaign, Field, ImportFile, Lead
from tests.api.conftest import Instance, Partner, key_for
from tests.api.test_keys import problem
from tests.hooks.test_subscriptions import take_in

GOOD = b"First name;E-mail\nAda;ada@example.test\nGrace;grace@example.test\n"
MIXED = "First name,E-mail\nZo\u00eb,zoe@example.test\nNobody,no address\n".encode()


def bring(partner: Partner, instance: Instance, content: bytes, name: str = "leads.csv", **more: Any) -> Any:
    data = {"campaign": instance.campaign.pk, "publisher": instance.publisher.pk, **more}
    return partner.call("POST", "imports", data=data, files={"file": (name, content)})


def worked(partner: Partner, import_id: int) -> Any:
    """The import, once what is to be done for now is done."""
    activity_work(import_id)
    return partner.get(f"imports/{import_id}").json()


def taken(partner: Partner, import_id: int) -> Any:
    assert worked(partner, import_id)["state"] == "ready"
    assert partner.post(f"imports/{import_id}/take", {"lawful_basis": True}).status_code == 202
    return worked(partner, import_id)


def in_chunks(partner: Partner, instance: Instance, file: bytes) -> Any:
    """Bring a file as clients do that do not know its length: in chunks."""
    fields = {"campaign": str(instance.campaign.pk), "publisher": str(instance.publisher.pk)}
    body, kind = encode_multipart_formdata({**fields, "file": ("leads.csv", file, "text/csv")})
    pieces = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
    return partner.call("POST", "imports", data=pieces, headers={"Content-Type": kind})


def test_a_large_file_of_unknown_length_is_taken_whole(partner: Partner, instance: Instance) -> None:
    row = b"Grace;grace@example.test" + b" " * 1_000 + b"\n"
    started = in_chunks(partner, instance, GOOD + row * 4_000)
    assert started.status_code == 202, started.text
    assert worked(partner, started.json()["id"])["progress"]["total"] == 4_002


def test_a_file_of_unknown_length_that_is_too_large_is_said_to_be_so(
    partner: Partner, instance: Instance, settings: Any
) -> None:
    settings.IMPORT_MAX_BYTES, settings.MAX_BODY_BYTES = 3_000_000, 1_000
    problem(in_chunks(partner, instance, GOOD + b" " * 9_000_000), 413, "too-large")
    assert not ImportFile.objects.exists()


def test_a_file_is_checked_then_taken_in_and_what_failed_is_given_back(partner: Partner, instance: Instance) -> None:
    started = bring(partner, instance, MIXED)
    assert started.status_code == 202, started.text
    assert started.json()["mapping"] == {"First name": "firstName", "E-mail": "email"}
    import_id = started.json()["id"]
    assert worked(partner, import_id)["state"] == "ready"
    assert not Lead.objects.exists()
    problem(partner.post(f"imports/{import_id}/take", {"lawful_basis": False}), 422, "invalid")
    done = taken(partner, import_id)
    assert (done["state"], done["progress"]["done"], done["progress"]["failed"]) == ("done", 1, 1)
    assert Lead.objects.get().values["firstName"] == "Zoë"
    [failed] = partner.get(f"imports/{import_id}/rows", state="failed").json()["data"]
    assert failed["row"] == 3
    assert "Column B (E-mail)" in failed["words"]
    mended = partner.get(f"imports/{import_id}/failures")
    assert mended.headers["Content-Type"] == "text/csv; charset=utf-8"
    [head, row] = csv.reader(io.StringIO(mended.text.lstrip("\ufeff")))
    assert head[:2] == ["First name", "E-mail"]
    assert row[:3] == ["Nobody", "no address", "3"]


def test_the_same_file_twice_makes_no_lead_twice(partner: Partner, instance: Instance) -> None:
    for _ in range(2):
        done = taken(partner, bring(partner, instance, GOOD).json()["id"])
    assert (done["progress"]["done"], done["progress"]["skipped"]) == (0, 2)
    assert Lead.objects.count() == 2


def test_a_mapping_may_be_given_and_an_import_stopped(partner: Partner, instance: Instance) -> None:
    started = bring(
        partner, instance, b"a,b\nAda,ada@example.test\n", mapping='{"a": "firstName", "b": "email"}', test="true"
    )
    import_id = started.json()["id"]
    assert started.json()["test"] is True
    assert worked(partner, import_id)["state"] == "ready"
    assert partner.post(f"imports/{import_id}/cancel").json()["state"] == "cancelled"
    problem(partner.post(f"imports/{import_id}/take", {"lawful_basis": True}), 409, "conflict")


@pytest.mark.parametrize(
    ("content", "more", "field"),
    [
        (b"", {}, "file"),
        (b"\x00\x01\x02\x03", {}, "file"),
        (b"PK\x03\x04 no workbook", {}, "file"),
        (b"Colour\nred\n", {}, "mapping"),
        (GOOD, {"mapping": "[1]"}, "mapping"),
        (GOOD, {"mapping": "[" * 50_000}, "mapping"),
        (GOOD, {"campaign": 987_654}, "campaign"),
        (GOOD, {"publisher": 987_654}, ""),
        (GOOD, {"form": 987_654}, "form"),
        (GOOD, {"link": 987_654}, ""),
        (GOOD, {"campaign": "x"}, "campaign"),
    ],
)
def test_what_is_wrong_with_a_file_or_where_it_belongs_is_said(
    partner: Partner, instance: Instance, content: bytes, more: dict[str, Any], field: str
) -> None:
    said = problem(bring(partner, instance, content, **more), 422, "invalid")
    assert said["errors"][0]["field"] == field, said


def test_a_body_that_is_no_form_is_refused(partner: Partner, instance: Instance) -> None:
    problem(partner.post("imports", {"campaign": instance.campaign.pk}), 415, "wrong-media-type")
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(partner.call("POST", "imports", data=b"--y\r\nnonsense", headers=kind), 422, "invalid")


def test_two_publishers_never_see_each_other_s_imports(server: str, reach: Partner, instance: Instance) -> None:
    grow = Partner(server, key_for(publisher=instance.other_publisher))
    started = bring(grow, instance, GOOD, publisher=instance.other_publisher.pk)
    import_id = started.json()["id"]
    assert reach.get("imports").json()["data"] == []
    for method, path in (("GET", ""), ("POST", "/take"), ("POST", "/cancel"), ("GET", "/rows"), ("GET", "/failures")):
        problem(reach.call(method, f"imports/{import_id}{path}", json={"lawful_basis": True}), 404, "not-found")
    problem(bring(reach, instance, GOOD, publisher=instance.other_publisher.pk), 422, "invalid")
    [row] = grow.get("imports").json()["data"]
    assert row["publisher"] == instance.other_publisher.pk


def test_a_publisher_s_key_sees_and_ends_no_import_that_staff_began_for_it(
    reach: Partner, partner: Partner, instance: Instance
) -> None:
    file = import_upload(SimpleUploadedFile("staff.csv", MIXED), name="staff.csv", campaign=instance.campaign, by="sam")
    of_staff = import_check(
        file,
        form_id=instance.form.pk,
        publisher_id=instance.publisher.pk,
        link_id=None,
        mapping={"First name": "firstName", "E-mail": "email"},
        test=False,
        by="sam",
        token="",
    ).pk
    of_agency = bring(partner, instance, GOOD).json()["id"]
    own = bring(reach, instance, MIXED).json()["id"]
    assert [row["id"] for row in reach.get("imports").json()["data"]] == [own]
    assert [row["id"] for row in partner.get("imports").json()["data"]] == [own, of_agency, of_staff]
    for import_id in (of_staff, of_agency):
        for method, path in (
            ("GET", ""),
            ("POST", "/take"),
            ("POST", "/cancel"),
            ("GET", "/rows"),
            ("GET", "/failures"),
        ):
            problem(reach.call(method, f"imports/{import_id}{path}", json={"lawful_basis": True}), 404, "not-found")
    assert Activity.objects.get(pk=of_staff).cancel_requested is False


def test_failed_rows_in_clear_are_for_who_brought_them_and_for_who_may_read_leads(
    server: str, instance: Instance
) -> None:
    bringer, other, reader = (
        Partner(server, key_for(*scopes, publisher=instance.publisher))
        for scopes in (("imports:write",), ("imports:write",), ("imports:write", "leads:read"))
    )
    import_id = bring(bringer, instance, MIXED).json()["id"]
    worked(bringer, import_id)
    for partner in (bringer, reader):
        assert "no address" in partner.get(f"imports/{import_id}/failures").text
    said = problem(other.get(f"imports/{import_id}/failures"), 403, "scope-missing")
    assert "leads:read" in said["detail"]
    assert other.get(f"imports/{import_id}/rows").status_code == 200


# --- spreadsheets, as a spreadsheet program saves them -------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One table of leads as LibreOffice saves it: .xlsx and .csv."""
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        pytest.skip("no LibreOffice on this machine (Debian: apt install libreoffice-calc-nogui)")
    directory: Path = tmp_path_factory.mktemp("spreadsheets")
    source = directory / "leads.fods"
    rows = [
        ("First name", "E-mail", "Telephone"),
        ("Zoë “Ø”", "zoe@example.test", "+44 20 7946 0018"),
        ("Ada", "ada@example.test", ""),
    ]
    cells = "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string"><text:p>{cell}</text:p></table:table-cell>' for cell in row
        )
        + "</table:table-row>"
        for row in rows
    )
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text")
    )
    source.write_text(
        f'<?xml version="1.0" encoding="UTF-8"?><office:document {names} office:version="1.2" '
        'office:mimetype="application/vnd.oasis.opendocument.spreadsheet"><office:body><office:spreadsheet>'
        f'<table:table table:name="Leads">{cells}</table:table></office:spreadsheet></office:body></office:document>'
    )
    found = {}
    for kind in ("xlsx", "csv"):
        command = [program, "--headless", f"-env:UserInstallation=file://{directory}/profile", "--convert-to", kind]
        subprocess.run(
            [*command, "--outdir", str(directory), str(source)], check=True, capture_output=True, timeout=180
        )
        found[kind] = (directory / f"leads.{kind}").read_bytes()
    return found


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_what_a_spreadsheet_program_saved_is_taken_in(
    partner: Partner, instance: Instance, saved: dict[str, bytes], kind: str
) -> None:
    Field.objects.filter(form=instance.form, name="telephone").update(label="Telephone")
    done = taken(partner, bring(partner, instance, saved[kind], f"leads.{kind}").json()["id"])
    assert (done["state"], done["progress"]["done"], done["progress"]["failed"]) == ("done", 2, 0)
    names = set(Lead.objects.values_list("values__firstName", flat=True))
    assert names == {"Zoë “Ø”", "Ada"}


# --- exports ------------------------------------------------------------------------------------------------


def rows_of(answer: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_leads_are_taken_along_as_csv_and_as_a_workbook_with_filters(partner: Partner, instance: Instance) -> None:
    first, second = take_in(instance.campaign, instance.publisher), take_in(instance.campaign, instance.other_publisher)
    Lead.objects.filter(pk=second).update(flag="invalid", reason_code="DUP")
    answer = partner.get("exports/leads")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert [row["id"] for row in rows_of(answer)] == [str(first), str(second)]
    assert "deliveries" in rows_of(answer)[0]
    assert [row["id"] for row in rows_of(partner.get("exports/leads", flag="invalid"))] == [str(second)]
    assert [row["id"] for row in rows_of(partner.get("exports/leads", publisher=instance.publisher.pk))] == [str(first)]
    book = openpyxl.load_workbook(io.BytesIO(partner.get("exports/leads", format="xlsx").content), read_only=True)
    assert len(list(book.active.rows)) == 3
    for wrong in ({"format": "pdf"}, {"status": "eaten"}, {"since": "yesterday"}, {"campaign": "x"}, {"campain": "1"}):
        problem(partner.get("exports/leads", **wrong), 422, "invalid")


def test_a_key_takes_along_what_it_sees_and_masked_where_it_may_not_read_leads(
    server: str, reach: Partner, instance: Instance
) -> None:
    own = take_in(instance.campaign, instance.publisher)
    take_in(instance.campaign, instance.other_publisher)
    [row] = rows_of(reach.get("exports/leads"))
    assert (row["id"], row["email"]) == (str(own), "ada@example.test")
    assert not {"deliveries", "score", "max score", "held", "added values"} & set(row)
    assert {"status", "flag", "comment", "failed jobs"} <= set(row)
    assert rows_of(reach.get("exports/leads", publisher=instance.other_publisher.pk)) == []
    masked = Partner(server, key_for("exports:read"))
    assert "ada@example.test" not in masked.get("exports/leads").text
    other = Campaign.objects.create(advertiser=instance.campaign.advertiser, name="Autumn")
    assert rows_of(Partner(server, key_for(campaign=other)).get("exports/leads")) == []
    problem(Partner(server, key_for("leads:read")).get("exports/leads"), 403, "scope-missing")
