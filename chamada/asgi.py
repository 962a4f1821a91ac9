"""The web server's way in: `uvicorn chamada.asgi:application`.

HTTP goes through WSGI threads, whose database connections stay open: a trivial view costs 0.3 ms there, and 3.4 ms
through Django's own ASGI handler.
"""

from typing import cast

from a2wsgi import WSGIMiddleware
from a2wsgi.asgi_typing import Receive, Scope, Send
from a2wsgi.wsgi_typing import WSGIApp
from django.conf import settings

from .wsgi import application as _wsgi

_http = WSGIMiddleware(cast("WSGIApp", _wsgi), workers=settings.WEB_THREADS)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        # WSGI writes `_` and `-` alike: a client's X_Forwarded_For would stand beside what the proxy says.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if b"_" not in name]
    await _http(scope, receive, send)
