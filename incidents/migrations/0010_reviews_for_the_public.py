from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0009_intake"),
    ]

    operations = [
        migrations.AddField(
            model_name="learningreview",
            name="public_text",
            field=models.TextField(
                blank=True,
                default="",
                help_text="For the status page: anybody reads it once the review is published, if the incident is there.",
            ),
            preserve_default=False,
        ),
    ]
