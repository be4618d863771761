"""What the groups may do with keys of the partner API."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [("portal", "0006_rights_on_jobs"), ("leads", "0012_partner_keys")]

    # Undone, the groups keep what they may: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
