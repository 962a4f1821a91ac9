"""What a line carries a second and for one organization, and the indexes by which its queue is read."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def set_pace(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Many carriers refuse calls that come faster."""
    apps.get_model("calls", "Line").objects.using(schema_editor.connection.alias).filter(kind="phone").update(calls_per_second=10.0)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
        ('calls', '0003_priority_and_schedule'),
        ('contacts', '0001_initial'),
        ('personas', '0002_say_what_the_columns_are_for'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LineShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('places', models.PositiveIntegerField(validators=[django.core.validators.MinValueValidator(1)], verbose_name='calls at once')),
            ],
            options={
                'verbose_name': 'share of an organization',
                'verbose_name_plural': 'shares of organizations',
            },
        ),
        migrations.RemoveIndex(
            model_name='call',
            name='calls_due',
        ),
        migrations.AddField(
            model_name='line',
            name='calls_per_second',
            field=models.FloatField(blank=True, help_text='Begun at most, evenly spaced: what the carrier allows. Empty: as many as there are.', null=True, validators=[django.core.validators.MinValueValidator(0.01)], verbose_name='calls per second'),
        ),
        migrations.AddField(
            model_name='line',
            name='next_slot_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='next call not before'),
        ),
        migrations.AddField(
            model_name='line',
            name='share',
            field=models.PositiveIntegerField(blank=True, help_text="Of the line's places; an organization may have a share of its own below. Empty: all of them.", null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='calls at once for one organization'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('status', 'queued')), fields=['line', 'organization', '-priority', 'due_at', 'expires_at'], name='calls_due'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('status__in', ['dispatched', 'queued', 'scheduled'])), fields=['expires_at'], name='calls_expiring'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('cancel_requested_at__isnull', False), ('status__in', ['dispatched', 'queued', 'scheduled'])), fields=['cancel_requested_at'], name='calls_canceled'),
        ),
        migrations.AddField(
            model_name='lineshare',
            name='line',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='calls.line', verbose_name='line'),
        ),
        migrations.AddField(
            model_name='lineshare',
            name='organization',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='line_shares', to='accounts.organization', verbose_name='organization'),
        ),
        migrations.AddConstraint(
            model_name='lineshare',
            constraint=models.UniqueConstraint(fields=('line', 'organization'), name='one_share_a_line_and_organization'),
        ),
        migrations.RunPython(set_pace, migrations.RunPython.noop),
    ]
