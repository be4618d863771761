from django.db import migrations, models

FIELDS = [("Delivery", "lead"), ("Attempt", "delivery")]


def drop(apps, schema_editor):
    """On PostgreSQL alone. SQLite would write the whole table anew, and looks for a row by its id for next to nothing."""
    if schema_editor.connection.vendor != "postgresql":
        return
    for model_name, field_name in FIELDS:
        model = apps.get_model("integrations", model_name)
        column = model._meta.get_field(field_name).column
        for name in schema_editor._constraint_names(model, [column], foreign_key=True):
            schema_editor.execute(schema_editor._delete_fk_sql(model, name))


class Migration(migrations.Migration):
    dependencies = [("integrations", "0022_last_begun_and_region"), ("leads", "0021_no_look_for_the_lead")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name="delivery",
                    name="lead",
                    field=models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=models.deletion.CASCADE,
                        related_name="deliveries",
                        to="leads.lead",
                    ),
                ),
                migrations.AlterField(
                    model_name="attempt",
                    name="delivery",
                    field=models.ForeignKey(
                        db_constraint=False,
                        on_delete=models.deletion.CASCADE,
                        related_name="attempts",
                        to="integrations.delivery",
                    ),
                ),
            ],
        )
    ]
