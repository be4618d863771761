from django.db import migrations, models

BATCH = 1_000


def fill(apps, schema_editor):
    """Leads that are there already get their key."""
    lead_model, field_model = apps.get_model("leads", "Lead"), apps.get_model("leads", "Field")
    names = {}
    for form_id, name, kind in field_model.objects.order_by("position", "id").values_list("form_id", "name", "type"):
        if kind == "email" or "email" in name.lower():
            names.setdefault(form_id, []).append((kind != "email", name))
    last = 0
    while leads := list(lead_model.objects.filter(pk__gt=last).only("values", "form_id").order_by("pk")[:BATCH]):
        last = leads[-1].pk
        for lead in leads:
            found = [lead.values.get(name) for _, name in sorted(names.get(lead.form_id, ()), key=lambda n: n[0])]
            lead.email_key = next((value.lower()[:254] for value in found if value), "")
        lead_model.objects.bulk_update(leads, ["email_key"])


class Migration(migrations.Migration):
    dependencies = [("leads", "0002_activities_and_imports")]

    operations = [
        migrations.AddField(
            model_name="lead",
            name="email_key",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="Its e-mail address in small letters.",
                max_length=254,
            ),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
