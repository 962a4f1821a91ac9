"""OpenAI's realtime model as a telephone call needs it: what breaks is told to the call, never to the session alone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
import structlog
from livekit import rtc
from livekit.agents import APIConnectOptions
from livekit.agents.llm import RealtimeModelError
from livekit.plugins.openai import realtime
from openai.types.realtime import AudioTranscription, RealtimeReasoning
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad

from calls.states import Fault, Reason
from personas.models import PersonaVersion

from .hearing import Ear
from .lines.base import Endpoint

log = structlog.get_logger(__name__)

# Longer than any call: a recycled connection loses what the callee is saying. The service closes at 60 minutes.
CONNECTION_S = 55 * 60
# One more try after half a second; more would be dead air for the callee (four tries take 4 s).
CONNECT = APIConnectOptions(max_retry=1, retry_interval=0.5, timeout=5.0)


@dataclass(frozen=True)
class ModelFailure:
    """Why the model does not speak, in the words of a call's end."""

    reason: Reason
    fault: Fault


_BY_CODE = {
    "invalid_api_key": ModelFailure(Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION),
    "account_deactivated": ModelFailure(Reason.ERROR_CONFIGURATION_KEY, Fault.CONFIGURATION),
    "model_not_found": ModelFailure(Reason.ERROR_CONFIGURATION_MODEL, Fault.CONFIGURATION),
    "insufficient_quota": ModelFailure(Reason.ERROR_AI_QUOTA, Fault.AI_PROVIDER),
    "credit_balance_exhausted": ModelFailure(Reason.ERROR_AI_QUOTA, Fault.AI_PROVIDER),
    "billing_hard_limit_reached": ModelFailure(Reason.ERROR_AI_QUOTA, Fault.AI_PROVIDER),
    "rate_limit_exceeded": ModelFailure(Reason.ERROR_AI_RATE_LIMITED, Fault.AI_PROVIDER),
    "inference_rate_limit_exceeded": ModelFailure(Reason.ERROR_AI_RATE_LIMITED, Fault.AI_PROVIDER),
}
_BY_HTTP_STATUS = {
    401: _BY_CODE["invalid_api_key"],
    403: _BY_CODE["invalid_api_key"],
    404: _BY_CODE["model_not_found"],
    429: _BY_CODE["rate_limit_exceeded"],
}


def failure_of(error: BaseException | None, *, was_ready: bool) -> ModelFailure:
    """What `error` means for the call. `was_ready`: the model had answered on this call before."""
    cause = error
    while cause is not None:
        body = getattr(cause, "body", None)
        for word in (getattr(body, "code", None), getattr(body, "type", None)):
            if word in _BY_CODE:
                return _BY_CODE[word]
        if isinstance(cause, aiohttp.WSServerHandshakeError) and cause.status in _BY_HTTP_STATUS:
            return _BY_HTTP_STATUS[cause.status]
        cause = cause.__cause__
    return ModelFailure(Reason.ERROR_AI_LOST if was_ready else Reason.ERROR_AI_CONNECT, Fault.AI_PROVIDER)


class PersonaRealtimeSession(realtime.RealtimeSession):
    """The connection to the model, with the callee's ear in front and its failures told to the call.

    An error after which the library gives up would make the AgentSession close itself in the middle of its own clean-up:
    no `close` event, a line that stays open and silent. Here the session never hears of it: the call does, which still
    needs the session's sound to say a last sentence to the callee.
    """

    def __init__(self, model: "PersonaModel", *, turn_detection_disabled: bool = False) -> None:
        self._persona_model = model
        super().__init__(model, turn_detection_disabled=turn_detection_disabled)

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        for each in self._persona_model.ear.hear(frame):
            super().push_audio(each)

    def emit(self, event: Any, *args: Any) -> None:
        if event == "error" and args and isinstance(args[0], RealtimeModelError) and not args[0].recoverable:
            self._persona_model.on_failure(args[0].error)
            return
        super().emit(event, *args)

    async def aclose(self) -> None:
        # The library raises here, once more, the error that ended the connection: the AgentSession would never emit `close`.
        (error,) = await asyncio.gather(super().aclose(), return_exceptions=True)
        if error is not None:
            log.debug("the model's connection had failed", error=type(error).__name__)


class PersonaModel(realtime.RealtimeModel):
    """The model with a persona's voice. Temperature is not sent: the realtime models have none any more."""

    def __init__(
        self,
        version: PersonaVersion,
        *,
        model: str,
        transcription_model: str,
        endpoint: Endpoint,
        ear: Ear,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self.ear = ear
        self.on_failure = on_failure
        options: dict[str, Any] = {}
        if version.reasoning_effort:
            options["reasoning"] = RealtimeReasoning(effort=version.reasoning_effort)  # type: ignore[arg-type]  # the column's choices
        super().__init__(
            model=model,
            voice=version.voice,
            speed=float(version.speed),
            base_url=endpoint.base_url,
            api_key=endpoint.api_key,
            input_audio_transcription=AudioTranscription(model=transcription_model, language=version.locale.partition("-")[0]),
            input_audio_noise_reduction="near_field",
            turn_detection=SemanticVad(type="semantic_vad", eagerness="auto", create_response=True, interrupt_response=True),
            max_session_duration=CONNECTION_S,
            conn_options=CONNECT,
            **options,
        )

    def session(self, *, turn_detection_disabled: bool = False) -> PersonaRealtimeSession:
        return PersonaRealtimeSession(self, turn_detection_disabled=turn_detection_disabled)
