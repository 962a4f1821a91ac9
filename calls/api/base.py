"""What every view of the API does before it does its own: count, measure, ask who it is, and what they may."""

from typing import Any, ClassVar, NamedTuple

from django.http import HttpRequest
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.models import ApiKey, Scope, User
from accounts.permissions import Action

from .addresses import client_address, neighbourhood
from .bodies import check_length
from .problems import MethodNotAllowed, NotAuthenticated, ScopeMissing
from .throttles import check_rate

RENDERER = JSONRenderer()


class Need(NamedTuple):
    """What a method asks of the client: the scope of a key, what a person's role must allow, and the limits in API_RATES."""

    scope: Scope
    action: Action
    rate_per_address: str = "address"
    rate_per_key: str = "key"


READ = Need(Scope.CALLS_READ, Action.VIEW_CALLS)
CANCEL = Need(Scope.CALLS_WRITE, Action.CANCEL_CALLS)
PLACE = Need(Scope.CALLS_WRITE, Action.PLACE_CALLS, "call_address", "call_key")


class ApiView(APIView):
    """A view that answers JSON, whatever the client says it accepts, to an API key or to somebody who is logged in.

    `key` and `user` are set as soon as they are known; a request that was refused before has neither.
    """

    needs: ClassVar[dict[str, Need]] = {}
    http_method_names = ["get", "head", "post"]
    metadata_class = None
    http: HttpRequest
    address: str | None = None
    key: ApiKey | None = None
    user: User | None = None

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.http = request

    def perform_content_negotiation(self, _request: Request, *_args: Any, **_kwargs: Any) -> tuple[JSONRenderer, str]:  # type: ignore[override]
        return RENDERER, RENDERER.media_type

    def initial(self, request: Request, *_args: Any, **_kwargs: Any) -> None:
        """In the order of what it costs us: the address's count, the body's length, the key, its scope, its count."""
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        self.address = client_address(self.http)
        need = self.needs.get("GET" if request.method == "HEAD" else request.method or "")
        if need is None:
            raise MethodNotAllowed(method=request.method)
        check_rate(self.http, rate=need.rate_per_address, who=neighbourhood(self.address))
        check_length(self.http)
        if not isinstance(request.user, User):
            raise NotAuthenticated
        self.user = request.user
        self.key = request.auth if isinstance(request.auth, ApiKey) else None
        if self.key and need.scope not in self.key.scopes:
            raise ScopeMissing(scope=need.scope)
        check_rate(self.http, rate=need.rate_per_key, who=self.who)

    @property
    def person(self) -> User:
        """Who is logged in, or made the key."""
        assert self.user is not None
        return self.user

    @property
    def who(self) -> str:
        """As events name who acts: "key:7", "user:42"."""
        return f"key:{self.key.pk}" if self.key else f"user:{self.person.pk}"
