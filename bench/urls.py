"""The product's addresses, and an empty view to compare with."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt

from chamada.urls import urlpatterns as product


@csrf_exempt
def empty(_request: HttpRequest) -> HttpResponse:
    return JsonResponse({}, status=202)


urlpatterns = [*product, path("empty/", empty)]
