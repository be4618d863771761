"""What the groups may do with audiences and computed traits."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0003_rights_on_sources"),
        ("leads", "0008_audiences"),
        ("integrations", "0014_audience_syncs"),
    ]

    # Undone, the groups keep what they may: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
