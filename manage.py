#!/usr/bin/env python
"""Django's command line. A setting that cannot be read is one sentence, not a traceback."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chamada.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as wrong:
        sys.exit(f"Settings: {wrong}")


if __name__ == "__main__":
    main()
