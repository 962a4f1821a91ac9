"""What staff see of calls, of the requests for them, and of the lines."""

from django.apps import apps
from django.contrib import admin

from .call import CallAdmin
from .mending import MendingAdmin
from .records import CallRequestAdmin, LineAdmin

__all__ = ["CallAdmin", "CallRequestAdmin", "LineAdmin", "MendingAdmin"]

# The engine's own pages would show jobs, which tell nothing: what is due stands in the rows.
for _config in apps.get_app_configs():
    if _config.label in ("procrastinate", "django_tasks_database"):
        admin.site.unregister([model for model in _config.get_models() if admin.site.is_registered(model)])
