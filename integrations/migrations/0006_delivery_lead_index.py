import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("integrations", "0005_what_charts_count"),
        ("leads", "0004_lead_email_index"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="delivery",
            index=models.Index(fields=["lead", "integration", "id"], name="delivery_lead"),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="lead",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="deliveries",
                to="leads.lead",
            ),
        ),
    ]
