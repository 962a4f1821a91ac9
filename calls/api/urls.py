"""The addresses of the API, each with and without the slash at its end: a POST cannot be redirected to the other one."""

from collections.abc import Callable
from typing import Any

from django.urls import path
from django.urls.resolvers import URLPattern

from . import views
from .documentation import DocumentPage, DocumentView

app_name = "api"


def _both(address: str, view: Callable[..., Any], name: str) -> list[URLPattern]:
    # The last one of a name is the one that is answered as the address.
    return [path(address.rstrip("/"), view, name=name), path(f"{address.rstrip('/')}/", view, name=name)]


urlpatterns = [
    *reversed(_both("start_call", views.StartCallView.as_view(), "start_call")),
    *_both("v1/calls", views.CallsListView.as_view(), "calls"),
    *_both("v1/calls/<uuid:call_id>", views.CallView.as_view(), "call_status"),
    *_both("v1/calls/<uuid:call_id>/transcript", views.TranscriptView.as_view(), "call_transcript"),
    *_both("v1/calls/<uuid:call_id>/cancel", views.CancelView.as_view(), "call_cancel"),
    path("schema/", DocumentView.as_view(), name="schema"),
    path("docs/", DocumentPage.as_view(url_name="api:schema"), name="docs"),
]
