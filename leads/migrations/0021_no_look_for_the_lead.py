from django.db import migrations, models

FIELDS = [("LeadChange", "lead")]


def drop(apps, schema_editor):
    """On PostgreSQL alone. SQLite would write the whole table anew, and looks for a row by its id for next to nothing."""
    if schema_editor.connection.vendor != "postgresql":
        return
    for model_name, field_name in FIELDS:
        model = apps.get_model("leads", model_name)
        column = model._meta.get_field(field_name).column
        for name in schema_editor._constraint_names(model, [column], foreign_key=True):
            schema_editor.execute(schema_editor._delete_fk_sql(model, name))


class Migration(migrations.Migration):
    dependencies = [("leads", "0020_where_an_answer_points")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name="leadchange",
                    name="lead",
                    field=models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="changes",
                        to="leads.lead",
                    ),
                ),
            ],
        )
    ]
