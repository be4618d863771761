"""What the groups may do with sources and events."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0002_rights_on_notices"),
        ("leads", "0007_tracked_events"),
        ("integrations", "0010_deliveries_of_events"),
    ]

    # Undone, the groups keep what they may: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
