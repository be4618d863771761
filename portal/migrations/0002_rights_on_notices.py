"""What each group may do with notices and with who is told."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [("portal", "0001_roles"), ("integrations", "0009_notices")]

    # Undone, the groups keep what they were given: the rows it is about go anyway.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
