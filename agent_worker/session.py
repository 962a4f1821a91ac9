"""The session in which a persona speaks: every option of the library that matters on a telephone, said explicitly."""

from typing import Any

from livekit.agents import Agent, AgentSession, RecordingOptions
from livekit.agents.llm import RealtimeModel, Tool
from livekit.agents.voice import TranscriptSynchronizer

# Said at every start: what is left open follows the server's settings, and goes to LiveKit Cloud when the URL is one of theirs.
NOTHING_RECORDED: RecordingOptions = {"audio": False, "traces": False, "logs": False, "transcript": False}
# A model that calls tools in a circle is made to speak after this many.
MAX_TOOL_STEPS = 4


def build_session(model: RealtimeModel) -> AgentSession[Any]:
    """A session without a voice detector of its own: the model takes the turns.

    `aec_warmup_duration=None`: else the callee could not interrupt during the first three seconds of speech.
    `user_away_timeout=None`: silence is the watchdogs' to notice.
    """
    return AgentSession(
        llm=model,
        vad=None,
        aec_warmup_duration=None,
        user_away_timeout=None,
        max_tool_steps=MAX_TOOL_STEPS,
        turn_handling={"turn_detection": "realtime_llm", "interruption": {"enabled": True, "resume_false_interruption": False}},
    )


def build_agent(instructions: str, tools: list[Tool]) -> Agent:
    """The persona. It says nothing of itself when the session starts: the phone may not even ring yet."""
    return Agent(instructions=instructions, tools=list(tools))


def keep_words_with_sound(session: AgentSession[Any]) -> TranscriptSynchronizer:
    """Let the text of a cut sentence end where the sound ended; for a session that has its audio output. To be closed after it.

    Without it the transcript of an interrupted turn holds words that nobody heard.
    """
    assert session.output.audio is not None
    synchronizer = TranscriptSynchronizer(next_in_chain_audio=session.output.audio, next_in_chain_text=None)
    session.output.audio = synchronizer.audio_output
    session.output.transcription = synchronizer.text_output
    return synchronizer
