from django.db import migrations, models

INDEX = models.Index(
    fields=["reference", "integration"], name="delivery_reference", condition=models.Q(reference__gt="")
)


def index(apps, schema_editor):
    """On PostgreSQL while deliveries go on: the table is large."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS delivery_reference"
            " ON integrations_delivery (reference, integration_id) WHERE reference > ''"
        )
    else:
        schema_editor.add_index(apps.get_model("integrations", "Delivery"), INDEX)


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS delivery_reference")
    else:
        schema_editor.remove_index(apps.get_model("integrations", "Delivery"), INDEX)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("integrations", "0019_client_rules")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="delivery", index=INDEX)],
            database_operations=[migrations.RunPython(index, drop_index)],
        )
    ]
