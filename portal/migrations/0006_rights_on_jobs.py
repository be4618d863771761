"""What the groups may do with jobs of the Processr, their groups, and lists of values."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0005_rights_on_webhooks"),
        ("integrations", "0016_judging"),
    ]

    # Undone, the groups keep what they may: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
