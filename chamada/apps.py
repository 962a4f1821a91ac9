from django.apps import AppConfig


class ChamadaConfig(AppConfig):
    name = "chamada"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers them)
