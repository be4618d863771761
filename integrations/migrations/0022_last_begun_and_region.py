from typing import Any

from django.db import migrations, models
from django.db.models import Max


def number(apps: Any, schema_editor: Any) -> None:
    """What was begun before has a number behind the one in force and all that has entries; perhaps one behind those."""
    for found in apps.get_model("integrations", "ValueList").objects.annotate(last=Max("items__generation")):
        found.last_begun = max(found.generation, found.last or 0) + 1
        found.save(update_fields=["last_begun"])


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0021_what_keys_are_made_of"),
    ]

    operations = [
        migrations.AddField(
            model_name="valuelist",
            name="last_begun",
            field=models.PositiveIntegerField(
                db_default=1,
                default=1,
                editable=False,
                help_text="The last generation that somebody began to fill.",
            ),
        ),
        migrations.AlterField(
            model_name="keybuild",
            name="reach",
            field=models.JSONField(
                default=list,
                help_text='[{"scope": ..., "fields": [...], "campaigns": [...], "region": ...}]: another one starts anew.',
            ),
        ),
        migrations.RunPython(number, migrations.RunPython.noop, elidable=True),
    ]
