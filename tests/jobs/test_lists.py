"""Lists of values: filled from files, searched, changed and given out; a bad file says where it is wrong and changes nothing."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from django.conf import LazySettings
from django.core.files.uploadedfile import SimpleUploadedFile

from integrations.bulk import activity_failures_csv, activity_work
from integrations.kit.lists import CLIENTS, DOMAINS, LIST_KINDS, LOOK_UP, SUPPRESSION, VALUES
from integrations.models import ValueList, ValueListItem
from integrations.value_lists import filling as list_filling
from integrations.value_lists import lists
from integrations.value_lists.filling import list_files_tidy, list_import_start
from integrations.value_lists.lists import (
    ListError,
    list_add,
    list_export,
    list_find,
    list_import,
    list_items,
    list_put_in_force,
    list_remove,
    list_replacement_add,
    list_replacement_begin,
    lists_tidy,
)
from leads.activity import activity_cancel
from leads.models import Activity, ActivityState, ImportChunk, ImportFile
from leads.tables import Unreadable

STARTING = Path(lists.__file__).parent / "starting_lists"


@pytest.fixture
def countries(db: None) -> ValueList:
    return ValueList.objects.create(name="Countries", kind=VALUES)


def made(kind: str) -> ValueList:
    return ValueList.objects.create(name=f"A list of {kind}", kind=kind)


def keys(value_list: ValueList) -> list[str]:
    return list(list_items(value_list).order_by("key").values_list("key", flat=True))


def file_of(text: str, encoding: str = "utf-8") -> io.BytesIO:
    return io.BytesIO(text.encode(encoding))


# --- what a file comes to -----------------------------------------------------------------------------------


def test_values_are_taken_in_normal_form_and_each_once(countries: ValueList) -> None:
    came = list_import(countries, file_of("Country\n De \nAT\nde\n\nCH\n"))
    assert (came.read, came.added, came.known, came.wrong) == (4, 3, 1, [])
    assert keys(countries) == ["at", "ch", "de"]
    assert countries.count == 3


def test_adding_leaves_what_is_there_and_replacing_does_not(countries: ValueList) -> None:
    list_import(countries, file_of("DE\nAT\n"))
    came = list_import(countries, file_of("AT\nCH\n"))
    assert (came.added, came.known, countries.count) == (1, 1, 3)
    list_import(countries, file_of("FR\n"), replace=True)
    assert (keys(countries), countries.count) == (["fr"], 1)
    assert ValueListItem.objects.filter(list=countries).count() == 4
    assert lists_tidy() == 3
    assert ValueListItem.objects.filter(list=countries).count() == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_a_file_is_read_in_any_encoding_that_spreadsheets_write(countries: ValueList, encoding: str) -> None:
    words = [f"Stra\u00dfe {number}" for number in range(60)]
    list_import(countries, file_of("value\n" + "\n".join(words) + "\n", encoding))
    assert "strasse 7" in keys(countries)


def test_a_workbook_is_a_file_like_others(countries: ValueList) -> None:
    book, out = openpyxl.Workbook(), io.BytesIO()
    assert book.active is not None
    for value in ("value", "DE", 4711, "AT"):
        book.active.append([value])
    book.save(out)
    list_import(countries, out)
    assert keys(countries) == ["4711", "at", "de"]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_look_up_table_has_a_value_for_each_key(db: None, delimiter: str) -> None:
    table = made(LOOK_UP)
    rows = [("Postcode", "Region"), ("SW1", "London"), ("EH1", "Edinburgh"), ("sw1", "Greater London")]
    came = list_import(table, file_of("".join(delimiter.join(row) + "\n" for row in rows)))
    assert (came.read, came.added, came.known) == (3, 2, 1)
    assert dict(list_items(table).values_list("key", "value")) == {"sw1": "Greater London", "eh1": "Edinburgh"}
    assert list_import(table, file_of(delimiter.join(("EH1", "Scotland")) + "\n")).known == 1
    assert list_items(table).get(key="eh1").value == "Scotland"


def test_one_column_of_several_can_be_chosen(countries: ValueList) -> None:
    list_import(countries, file_of("Name,Country\nAda,DE\nJoe,AT\n"), column=1)
    assert keys(countries) == ["at", "de"]


def test_of_a_suppression_list_nothing_is_kept_in_clear(db: None) -> None:
    listed = made(SUPPRESSION)
    already = hashlib.md5(b"joe@example.test").hexdigest()
    came = list_import(listed, file_of(f"email\n Ada@Example.test\n+44 7123 456789\n{already.upper()}\nnobody\n"))
    assert came.added == 3
    assert [row for row, _ in came.wrong] == [5]
    assert "no e-mail address" in came.wrong[0][1]
    expected = [hashlib.sha256(text).hexdigest() for text in (b"ada@example.test", b"+447123456789")]
    assert keys(listed) == sorted([*expected, already])
    assert "ada" not in "".join(list_export(listed))
    assert [item.key for item in list_find(listed, "ADA@example.test")] == [expected[0]]
    assert [item.key for item in list_find(listed, "joe@example.test")] == [already]


def test_rows_that_are_no_entries_are_said_by_their_number_and_the_others_kept(db: None) -> None:
    domains = made(DOMAINS)
    came = list_import(domains, file_of("domain\n@Mailbox.test\nlocalhost\nb\u00fccher.example\n a b.test\n"))
    assert keys(domains) == ["mailbox.test", "xn--bcher-kva.example"]
    assert [row for row, _ in came.wrong] == [3, 5]
    assert came.wrong[0][1] == "This is no domain. Write it as in example.com."


@pytest.mark.parametrize(
    ("kind", "written", "words"),
    [
        (VALUES, b"", "This file is empty."),
        (VALUES, b"value\n\n\n", "This file has no values in it."),
        (VALUES, b"value\nM\xc3\xbcn\x81chen\n", "Save it as “CSV UTF-8”."),
        (VALUES, b"a,b\nc,d\ne,f\n", "This file has 2 columns. Say which one has the values"),
        (VALUES, b'DE\n"AT\nCH\n' + b"x\n" * 70_000, "Row 2 can't be read: is a quotation mark in it opened"),
        (VALUES, b"PK\x03\x04 nothing else", "This workbook is damaged."),
        (VALUES, b"abc\x00defg\x01" * 100, "This is no table as text."),
        (LOOK_UP, b"SW1 / London\nEH1 / Edinburgh\n", "a look-up table needs two"),
    ],
)
def test_a_file_that_is_no_list_says_why_and_changes_nothing(db: None, kind: str, written: bytes, words: str) -> None:
    value_list = made(kind)
    with pytest.raises(Unreadable) as problem:
        list_import(value_list, io.BytesIO(written), replace=True)
    assert words in str(problem.value)
    with pytest.raises(Unreadable):
        list_import_start(value_list, SimpleUploadedFile("a.csv", written), name="a.csv", by="ann")
    value_list.refresh_from_db()
    assert (value_list.count, value_list.generation) == (0, 1)
    assert not ImportFile.objects.exists()
    assert not Activity.objects.exists()


def test_a_column_that_a_file_does_not_have_is_said(countries: ValueList) -> None:
    with pytest.raises(Unreadable, match="This file has no column D"):
        list_import(countries, file_of("DE,AT\n"), column=3)


def test_more_values_than_a_list_holds_are_refused_before_anything_is_changed(
    countries: ValueList, settings: LazySettings
) -> None:
    settings.LIST_MAX_VALUES = 5
    with pytest.raises(Unreadable, match="more than 5 values"):
        list_import(countries, file_of("".join(f"v{number}\n" for number in range(6))))
    assert keys(countries) == []
    list_import(countries, file_of("".join(f"v{number}\n" for number in range(4))))
    with pytest.raises(ListError, match="The list would have 8 values, and 5 are the most"):
        list_import(countries, file_of("".join(f"w{number}\n" for number in range(4))))
    assert countries.count == len(keys(countries)) == 4


def test_a_file_of_a_million_and_one_values_is_refused_in_words(countries: ValueList) -> None:
    lines = io.BytesIO(b"".join(b"value %d\n" % number for number in range(1_000_001)))
    with pytest.raises(Unreadable, match="more than 1,000,000 values"):
        list_import(countries, lines)


def test_many_values_take_no_more_memory_than_few(countries: ValueList) -> None:
    peaks = []
    for count in (10_000, 40_000):
        file = io.BytesIO(b"".join(b"value %d\n" % number for number in range(count)))
        tracemalloc.start()
        list_import(countries, file, replace=True)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert countries.count == 40_000
    assert peaks[1] < peaks[0] * 1.5


# --- in the background --------------------------------------------------------------------------------------


def test_a_file_is_filled_in_in_the_background_and_kept_no_longer(
    countries: ValueList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_filling, "BATCH", 2)
    upload = SimpleUploadedFile("countries.csv", b'country\nDE\n"AT"\nx,y\nCH\nde\n')
    activity = list_import_start(countries, upload, name="countries.csv", by="ann", token="t")
    again = list_import_start(countries, upload_again(upload), name="countries.csv", by="ann", token="t")
    assert again.pk == activity.pk, "a second click is the same activity"
    activity_work(activity.pk)
    activity.refresh_from_db()
    countries.refresh_from_db()
    assert (activity.state, activity.total, activity.done, activity.failed) == (ActivityState.DONE, 5, 4, 1)
    assert (activity.params["added"], activity.params["known"]) == (3, 1)
    assert keys(countries) == ["at", "ch", "de"]
    assert countries.count == 3
    assert list(activity_failures_csv(activity))[1].startswith("4,It has more than one column")
    assert not ImportChunk.objects.filter(file=activity.params["file"]).exists()


def upload_again(upload: SimpleUploadedFile) -> SimpleUploadedFile:
    upload.seek(0)
    return upload


def test_half_a_replacement_is_never_in_force(countries: ValueList, monkeypatch: pytest.MonkeyPatch) -> None:
    list_import(countries, file_of("DE\nAT\n"))
    monkeypatch.setattr(list_filling, "BATCH", 1)
    upload = SimpleUploadedFile("countries.csv", b"FR\nES\nIT\n")
    activity = list_import_start(countries, upload, name="countries.csv", by="ann", replace=True)
    rows = stepped(activity)
    next(rows)
    next(rows)
    assert keys(countries) == ["at", "de"]
    # The worker dies here; another one takes up where it came to.
    activity_work(activity.pk)
    countries.refresh_from_db()
    assert keys(countries) == ["es", "fr", "it"]
    assert countries.count == 3


def stepped(activity: Activity) -> Iterator[None]:
    fill = list_filling.KIND.preparer()
    while fill(activity):
        activity.save()
        yield


def test_a_replacement_that_was_cancelled_leaves_nothing_behind(
    countries: ValueList, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_import(countries, file_of("DE\n"))
    monkeypatch.setattr(list_filling, "BATCH", 1)
    upload = SimpleUploadedFile("countries.csv", b"FR\nES\n")
    activity = list_import_start(countries, upload, name="countries.csv", by="ann", replace=True)
    next(stepped(activity))
    assert activity_cancel(activity.pk)
    activity_work(activity.pk)
    ImportFile.objects.update(created_at="2020-01-01T00:00Z")
    list_files_tidy()
    assert not ImportFile.objects.exists()
    list_import(countries, file_of("IT\n"), replace=True)
    assert keys(countries) == ["it"]
    lists_tidy()
    assert ValueListItem.objects.filter(list=countries).count() == 1


def ended(activity: Activity) -> tuple[str, str]:
    """How an activity ended, and why."""
    activity_work(activity.pk)
    activity.refresh_from_db()
    return activity.state, activity.reason


def test_of_replacements_that_overlap_the_one_that_was_begun_last_is_in_force_whole(
    countries: ValueList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_filling, "BATCH", 1)
    slow = list_import_start(
        countries, SimpleUploadedFile("a.csv", b"FR\nES\nIT\n"), name="a.csv", by="ann", replace=True
    )
    rows = stepped(slow)
    next(rows)
    fast = list_import_start(countries, SimpleUploadedFile("b.csv", b"DE\nAT\n"), name="b.csv", by="bob", replace=True)
    assert ended(fast) == (ActivityState.DONE, "")
    lists_tidy()
    assert ended(slow) == (ActivityState.FAILED, lists.OVERTAKEN)
    countries.refresh_from_db()
    assert (keys(countries), countries.count) == (["at", "de"], 2)


def test_replacements_that_are_begun_together_do_not_mix(countries: ValueList) -> None:
    first, second = [
        list_import_start(countries, SimpleUploadedFile("a.csv", rows), name="a.csv", by="ann", replace=True)
        for rows in (b"FR\nES\n", b"DE\nAT\n")
    ]
    assert ended(first)[0] == ended(second)[0] == ActivityState.DONE
    countries.refresh_from_db()
    assert keys(countries) == ["at", "de"]


def test_a_file_that_ends_when_a_later_one_is_in_force_changes_nothing(countries: ValueList) -> None:
    earlier, later = list_replacement_begin(countries), list_replacement_begin(countries)
    list_replacement_add(countries, earlier, ["FR", "ES"])
    list_replacement_add(countries, later, ["DE"])
    list_put_in_force(countries, later)
    with pytest.raises(ListError, match="Another file took the place"):
        list_put_in_force(countries, earlier)
    assert keys(countries) == ["de"]


def test_values_that_are_added_to_a_list_that_is_replaced_meanwhile_say_so(
    countries: ValueList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_filling, "BATCH", 1)
    added = list_import_start(countries, SimpleUploadedFile("a.csv", b"FR\nES\n"), name="a.csv", by="ann")
    next(stepped(added))
    open_page = ValueList.objects.get(pk=countries.pk)
    list_import(countries, file_of("DE\n"), replace=True)
    assert ended(added) == (ActivityState.FAILED, lists.OVERTAKEN)
    with pytest.raises(ListError, match="Another file took the place"):
        list_add(open_page, "IT")
    countries.refresh_from_db()
    assert (keys(countries), countries.count) == (["de"], 1)


def test_a_list_that_is_removed_while_it_is_filled_says_so(countries: ValueList) -> None:
    activity = list_import_start(countries, SimpleUploadedFile("a.csv", b"FR\n"), name="a.csv", by="ann")
    ValueList.objects.filter(pk=countries.pk).delete()
    activity_work(activity.pk)
    activity.refresh_from_db()
    assert (activity.state, activity.reason) == (ActivityState.FAILED, "The list was removed meanwhile.")


# --- by hand ------------------------------------------------------------------------------------------------


def test_entries_are_added_found_and_removed_one_by_one(countries: ValueList) -> None:
    assert list_add(countries, " De ")
    assert not list_add(countries, "DE")
    assert list_add(countries, "Denmark")
    with pytest.raises(ListError, match="There is no value in it"):
        list_add(countries, "  ")
    assert [item.key for item in list_find(countries, "DE")] == ["de", "denmark"]
    assert len(list_find(countries, "")) == 2
    assert list_remove(countries, [list_find(countries, "denmark")[0].pk]) == 1
    countries.refresh_from_db()
    assert countries.count == 1
    table = made(LOOK_UP)
    with pytest.raises(ListError, match="Say what it stands for"):
        list_add(table, "SW1")


def test_a_client_s_list_is_changed_by_nobody_here(db: None) -> None:
    theirs = made(CLIENTS)
    generation = list_replacement_begin(theirs)
    list_replacement_add(theirs, generation, [" FR ", "", "fr"])
    assert keys(theirs) == []
    list_put_in_force(theirs, generation)
    assert (keys(theirs), theirs.count) == (["fr"], 1)
    for change in (
        lambda: list_add(theirs, "DE"),
        lambda: list_remove(theirs, [1]),
        lambda: list_import(theirs, file_of("DE\n")),
        lambda: list_import_start(theirs, SimpleUploadedFile("a.csv", b"DE\n"), name="a.csv", by="ann"),
    ):
        with pytest.raises(ListError, match="Ask the client to change it"):
            change()


def test_what_is_given_out_can_be_taken_in_again(db: None) -> None:
    table, other = made(LOOK_UP), ValueList.objects.create(name="Copy", kind=LOOK_UP)
    list_import(table, file_of('key,value\n=SW1,"London, ""inner"""\nEH1,Edinburgh\n'))
    written = "".join(list_export(table))
    assert written.splitlines()[1] == '\'=sw1,"London, ""inner"""'
    list_import(other, file_of(written))
    rows = [dict(list_items(each).values_list("key", "value")) for each in (table, other)]
    assert rows[0] == rows[1] == {"=sw1": 'London, "inner"', "eh1": "Edinburgh"}


# --- what an instance starts with ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Disposable domains", "disposable_domains"),
        ("Role names", "role_names"),
        ("Profanity", "profanity"),
        ("Test words", "test_words"),
    ],
)
def test_an_instance_starts_with_lists(db: None, name: str, file: str) -> None:
    lines = (STARTING / f"{file}.txt").read_text("utf-8").splitlines()
    found = ValueList.objects.get(name=name)
    kind = LIST_KINDS[found.kind]
    assert [kind.key(line) for line in lines] == lines == sorted(set(lines))
    assert set(keys(found)) == set(lines)
    assert found.count == len(lines)
