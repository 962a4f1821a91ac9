"""One log line a request, without what people typed."""

import structlog
from django.http import HttpRequest, HttpResponse
from django_structlog.middlewares import RequestMiddleware


class RequestLog(RequestMiddleware):
    """django-structlog's middleware, which gives each request its id; the id goes into the answer as well."""

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        # Without the query: the admin's search has a phone number in it (R13).
        return f"{request.method} {request.path}"

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response["X-Request-ID"] = structlog.contextvars.get_contextvars()["request_id"]
        super().handle_response(request, response)
