from django.db import migrations, models

INDEX = models.Index(fields=["created_at"], name="lead_change_created")


def index(apps, schema_editor):
    """On PostgreSQL while leads change. Rows lie in the order of their time: block ranges are enough, and cost a change nothing."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS lead_change_created ON leads_leadchange"
            " USING brin (created_at) WITH (pages_per_range = 32, autosummarize = on)"
        )
    else:
        schema_editor.add_index(apps.get_model("leads", "LeadChange"), INDEX)


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX CONCURRENTLY IF EXISTS lead_change_created")
    else:
        schema_editor.remove_index(apps.get_model("leads", "LeadChange"), INDEX)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("leads", "0018_when_keys_were_used")]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[migrations.AddIndex(model_name="leadchange", index=INDEX)],
            database_operations=[migrations.RunPython(index, drop_index)],
        )
    ]
