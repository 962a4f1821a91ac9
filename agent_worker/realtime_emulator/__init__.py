"""An emulator of the OpenAI Realtime API: its protocol, a voice, a small mind, and everything that can go wrong."""

from agent_worker.realtime_emulator.faults import ScriptError
from agent_worker.realtime_emulator.script import Script, load_script, load_scripts
from agent_worker.realtime_emulator.server import Emulator
from agent_worker.realtime_emulator.session import Session

__all__ = ["Emulator", "Script", "ScriptError", "Session", "load_script", "load_scripts"]
