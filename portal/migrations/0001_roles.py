"""The groups Viewer, Account manager and Administrator."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("leads", "0005_rights_and_tally"),
        ("integrations", "0005_what_charts_count"),
    ]

    # Undone, the groups stay: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
