"""HTTP alone, for any WSGI server."""

import os
import sys

from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application


def _checked() -> WSGIHandler:
    """The application, if its settings can be used and are safe. No server runs Django's checks, so they are run here."""
    try:
        ready = get_wsgi_application()
    except ImproperlyConfigured as wrong:
        sys.exit(f"Settings: {wrong}")
    errors = [found for found in checks.run_checks(tags=[checks.Tags.security]) if found.level >= checks.ERROR]
    if errors:
        sys.exit("\n".join(f"Settings: {found.msg} {found.hint or ''}".rstrip() for found in errors))
    return ready


os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chamada.settings")

application = _checked()
