"""What the libraries would build at the first use, built when this is imported: in the forkserver, for all job processes at once.

Else each call pays some 150 ms for it on its own event loop, between the claim and the greeting.
"""

from livekit.agents.utils import http_context
from livekit.plugins.openai import realtime  # noqa: F401
from openai.types import realtime as wire
from openai.types.realtime import realtime_client_event, realtime_server_event
from pydantic import BaseModel

# openai defers the schemas of its models until one is made.
for _module in (wire, realtime_client_event, realtime_server_event):
    for _model in vars(_module).values():
        if isinstance(_model, type) and issubclass(_model, BaseModel):
            _model.model_rebuild()

# The library keeps one TLS context a process, and makes it when the first session asks: it parses all certificates of the machine.
http_context._create_ssl_context()  # noqa: SLF001
