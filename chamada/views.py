"""The start page, the health of the web process, and the pages of errors."""

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls.api import problems
from calls.lines import phone_is_configured


@require_safe
def start(request: HttpRequest) -> HttpResponse:
    """What this is, and where to go on."""
    return render(
        request,
        "chamada/start.html",
        {"phone_is_configured": phone_is_configured(), "has_model_key": bool(settings.OPENAI_API_KEY)},
    )


@never_cache
@require_safe
def health(_request: HttpRequest) -> JsonResponse:
    """200 when this process can answer requests, 503 when its database is away."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "unavailable", "database": "away"}, status=503)
    return JsonResponse({"status": "ok", "database": "ok"})


def is_of_the_api(request: HttpRequest) -> bool:
    return request.path.startswith("/api/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    if is_of_the_api(request):
        return problems.answer("bad_request", gettext("The request could not be understood."))
    return render(request, "400.html", status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001 - Django's signature
    if is_of_the_api(request):
        return problems.answer("not_found", gettext("There is nothing at this address."))
    return render(request, "404.html", status=404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Ours, and nobody foresaw it: the log has it under the id that the answer names."""
    if is_of_the_api(request):
        return problems.answer("internal", gettext("This is our fault. The request's id helps to find out why."))
    return render(request, "500.html", {"request_id": problems.request_id()}, status=500)
