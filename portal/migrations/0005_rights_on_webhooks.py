"""What the groups may do with partners' webhooks."""

from typing import Any

from django.db import migrations

from portal.roles import roles_write


def write(apps: Any, schema_editor: Any) -> None:
    roles_write(apps)


class Migration(migrations.Migration):
    dependencies = [
        ("portal", "0004_rights_on_audiences"),
        ("leads", "0011_subscriptions"),
        ("integrations", "0015_webhooks_of_partners"),
    ]

    # Undone, the groups keep what they may: people may be in them.
    operations = [migrations.RunPython(write, migrations.RunPython.noop)]
