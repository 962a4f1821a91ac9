"""Every address of the product."""

from django.contrib import admin
from django.urls import include, path

from calls import webhooks

from . import views

urlpatterns = [
    path("", views.start, name="home"),
    path("health/", views.health, name="health"),
    path("admin/", admin.site.urls),
    path("api/", include("calls.api.urls")),
    # As deploy/livekit/livekit.yaml has it. A POST cannot be redirected to the address with the slash.
    path("livekit/webhook", webhooks.livekit, name="livekit_webhook"),
]
handler400 = "chamada.views.bad_request"
handler404 = "chamada.views.not_found"
handler500 = "chamada.views.server_error"
