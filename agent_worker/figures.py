"""What a call measures of itself: how fast the persona answers, and what the model charges for."""

from collections.abc import Sequence
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.metrics import LLMModelUsage, STTModelUsage

PERCENTILES = (50, 90, 95, 99)
_MODEL_TOKENS = (
    "input_tokens",
    "input_audio_tokens",
    "input_text_tokens",
    "input_cached_tokens",
    "input_cached_audio_tokens",
    "input_cached_text_tokens",
    "output_tokens",
    "output_audio_tokens",
    "output_text_tokens",
)
_TRANSCRIPTION_TOKENS = ("input_tokens", "input_audio_tokens", "output_tokens")


def percentile(values: Sequence[int], percent: int) -> int:
    """The smallest of `values` (sorted, not empty) that at least `percent` of 100 of them do not exceed."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


class Figures:
    """Latency is counted from the moment when the model says that the callee has stopped speaking, in milliseconds.

    The library's own `e2e_latency` is absent where the model takes the turns.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self._latest: int | None = None
        self._latencies: list[int] = []
        self.usage: dict[str, dict[str, int]] = {}

    def callee_began(self) -> None:
        self._asked_at = None

    def callee_ended(self, now: float) -> None:
        self._asked_at = now

    def assistant_began(self, now: float) -> None:
        if self._asked_at is not None:
            self._latest = round((now - self._asked_at) * 1000)
            self._latencies.append(self._latest)
            self._asked_at = None

    def take_latency(self) -> int | None:
        """The latency of the turn that was just spoken; None when it answered nothing."""
        latest, self._latest = self._latest, None
        return latest

    @property
    def latency(self) -> dict[str, int]:
        values = sorted(self._latencies)
        return {"count": len(values), **{f"p{each}": percentile(values, each) for each in PERCENTILES if values}}

    def take_usage(self, session: AgentSession[Any]) -> None:
        """Tokens by modality: of the conversation, and of the transcription, which is billed apart."""
        for usage in session.usage.model_usage:
            if isinstance(usage, LLMModelUsage):
                self.usage["model"] = {name: getattr(usage, name) for name in _MODEL_TOKENS}
            elif isinstance(usage, STTModelUsage):
                self.usage["transcription"] = {name: getattr(usage, name) for name in _TRANSCRIPTION_TOKENS}
