"""Imported first by everything that runs in a job process: Django is ready when models are imported. Safe to import twice.

A job process unpickles the entrypoint by its name, so it imports the entrypoint's module before it calls anything of ours.
"""

import os

# The end-of-turn weights (255 MB) that livekit-agents would load: the voice model tells turns by itself.
os.environ.setdefault("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "chamada.settings")

import django
from django.apps import apps

if not apps.ready:
    django.setup()
