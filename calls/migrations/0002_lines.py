"""The two lines: what staff set their limits on."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make_lines(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    lines = apps.get_model("calls", "Line").objects.using(schema_editor.connection.alias)
    for kind in ("phone", "sandbox"):
        lines.get_or_create(kind=kind)


class Migration(migrations.Migration):
    dependencies = [("calls", "0001_initial")]
    operations = [migrations.RunPython(make_lines, migrations.RunPython.noop)]
