"""A mind made of rules: answers a sentence sensibly from a session's own instructions and tools, without any model."""

from agent_worker.realtime_emulator.mind.mind import Mind
from agent_worker.realtime_emulator.mind.scene import Line, Scene, read_aloud

__all__ = ["Line", "Mind", "Scene", "read_aloud"]
