"""Lists that an instance starts with; people replace them as they like."""

from pathlib import Path
from typing import Any

from django.db import migrations

FOLDER = Path(__file__).resolve().parent.parent / "value_lists" / "starting_lists"
LISTS = (
    ("Disposable domains", "domains", "disposable_domains", "Providers of e-mail addresses that are thrown away."),
    ("Role names", "roles", "role_names", "Mailboxes of offices and roles, such as info and sales."),
    ("Profanity", "profanity", "profanity", "Words that nobody has for a name."),
    ("Test words", "test_words", "test_words", "What people type to try a form out."),
)


def fill(apps: Any, _schema_editor: Any) -> None:
    ValueList = apps.get_model("integrations", "ValueList")
    ValueListItem = apps.get_model("integrations", "ValueListItem")
    for name, kind, file, help_text in LISTS:
        if ValueList.objects.filter(name=name).exists():
            continue
        # The lines of these files are in normal form as they stand; a test says so.
        keys = (FOLDER / f"{file}.txt").read_text("utf-8").split("\n")
        keys = [key for key in keys if key]
        made = ValueList.objects.create(name=name, kind=kind, help=help_text, count=len(keys))
        ValueListItem.objects.bulk_create([ValueListItem(list=made, key=key) for key in keys])


class Migration(migrations.Migration):
    dependencies = [("integrations", "0017_room_under_caps")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
