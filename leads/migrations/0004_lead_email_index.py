from django.db import migrations


def index(apps, schema_editor):
    """On PostgreSQL only: on SQLite the insert took 1.8 times as long with it."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX lead_email ON leads_lead (email_key) WHERE email_key <> ''")


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS lead_email")


class Migration(migrations.Migration):
    dependencies = [("leads", "0003_lead_email_key")]

    operations = [migrations.RunPython(index, drop_index)]
