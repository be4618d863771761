"""What is mapped already becomes a version, and integrations that are on are looked at from now on."""

import datetime as dt

from django.db import migrations
from django.utils import timezone

COLUMNS = (
    "remote_key", "remote_label", "remote_type", "remote_required", "remote_hidden", "remote_choices",
    "state", "source", "value", "value_map", "transforms", "position",
)  # fmt: skip


def forwards(apps, schema_editor):
    Integration = apps.get_model("integrations", "Integration")
    FieldMapping = apps.get_model("integrations", "FieldMapping")
    MappingVersion = apps.get_model("integrations", "MappingVersion")
    now = timezone.now()
    for integration in Integration.objects.filter(mapping_version__gt=0).iterator():
        rows = list(FieldMapping.objects.filter(integration=integration).order_by("position", "id").values(*COLUMNS))
        for row in rows:
            row["state"] = "current" if row["state"] == "new" else row["state"]
        MappingVersion.objects.get_or_create(
            integration=integration,
            number=integration.mapping_version,
            defaults={
                "rows": rows,
                "form": {"name": integration.remote_form, "sync_keys": integration.sync_keys},
                "created_at": now,
            },
        )
    for integration in Integration.objects.filter(state__in=["on", "needs_a_look"], discovered_at__isnull=False):
        integration.next_pull_at = now + dt.timedelta(seconds=60 + integration.pk * 7 % 3600)
        integration.save(update_fields=["next_pull_at"])


class Migration(migrations.Migration):
    dependencies = [("integrations", "0003_mapping_versions_drift_and_reasons")]

    operations = [migrations.RunPython(forwards, migrations.RunPython.noop)]
