"""Indexes of leads that wait. On PostgreSQL they are made beside the work: intake goes on meanwhile."""

from django.db import migrations, models

INDEXES = (
    models.Index(condition=models.Q(("held__gt", "")), fields=["campaign", "held", "id"], name="lead_held"),
    models.Index(condition=models.Q(("held_until__isnull", False)), fields=["held_until"], name="lead_held_until"),
)


def make(apps, schema_editor):
    lead = apps.get_model("leads", "Lead")
    for index in INDEXES:
        if schema_editor.connection.vendor == "postgresql":
            # One that was interrupted leaves an index behind that is not valid.
            schema_editor.execute(f"DROP INDEX IF EXISTS {schema_editor.quote_name(index.name)}")
            schema_editor.execute(index.create_sql(lead, schema_editor, concurrently=True))
        else:
            schema_editor.execute(index.create_sql(lead, schema_editor))


def drop(apps, schema_editor):
    for index in INDEXES:
        schema_editor.execute(f"DROP INDEX IF EXISTS {schema_editor.quote_name(index.name)}")


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("leads", "0013_judging")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, drop)],
            state_operations=[migrations.AddIndex("lead", index) for index in INDEXES],
        )
    ]
