"""What to say next: from the last thing that happened to a sentence and the calls that go with it."""

import re
from collections.abc import Callable
from typing import ClassVar

from agent_worker.realtime_emulator.mind import obedience
from agent_worker.realtime_emulator.mind.hearing import Heard, fold, means, pattern, prepare, question_in, understand, vocabulary
from agent_worker.realtime_emulator.mind.lookup import arguments_for, search_for, spoken, topic_of
from agent_worker.realtime_emulator.mind.requests import Request, request_in
from agent_worker.realtime_emulator.mind.scene import Line, Scene
from agent_worker.realtime_emulator.mind.when import names_a_time, now_in, when_in
from agent_worker.realtime_emulator.script import Reply, ToolCall

# Intents that one sentence answers; its name in the words is the intent's.
_ONE_SENTENCE = {"emergency", "third_party", "robot", "injection", "off_topic", "medical", "not_interested", "unclear"}

_CALLS_OF_ONE_TOOL = 2
# A time of day in one of these is no wish to be called again.
_MORE_URGENT = ("voicemail", "emergency", "opt_out", "minor", "wrong_number", "injection")
# After one of these a day or an hour says when to call again.
_ASKS_WHEN = ("callback_day", "callback_hour", "callback_booked", "callback_other", "not_now", "third_party")


class Mind:
    """Keeps nothing between two replies: all it knows is in the scene, so a conversation survives a reconnect."""

    def __init__(self) -> None:
        prepare()

    def reply(self, scene: Scene) -> Reply:
        return _Turn(scene).reply()


class _Turn:
    """One reply in the making."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._words = vocabulary(scene.locale)
        self._request: Request = request_in(scene, self._words)

    def reply(self) -> Reply:
        scene = self._scene
        if scene.outputs:
            return self._after_tools(scene.outputs)
        if scene.pending and scene.obey and (reply := obedience.obey(scene, self._words)):
            return reply
        if scene.notice and (reply := self._on_notice(scene.notice)):
            return reply
        if scene.pending:
            return self._answer(understand(scene.pending, scene.locale))
        if not self._has_greeted():
            return Reply(self._greeting())
        return Reply(self._say("open_question"))

    # -- words ------------------------------------------------------------------------------------------------------

    def _say(self, kind: str, **values: str) -> str:
        """The first sentence of its kind that was not said yet; after all of them, the one that was said longest ago."""
        forms: list[str] = self._words["say"][kind]
        sentence = min(forms, key=self._last_said).format(organization=self._in_whose_name(), **values)
        if self._scene.masculine:
            sentence = re.sub(r"\b([Oo])brigada\b", r"\1brigado", sentence).replace("a assistente", "o assistente")
        return sentence

    def _last_said(self, form: str) -> int:
        beginning = _beginning(form)
        return max((index for index, text in enumerate(self._scene.said) if beginning and beginning in text), default=-1)

    def _times_said(self, kind: str) -> int:
        return sum(any(_beginning(form) in text for form in self._words["say"][kind]) for text in self._scene.said)

    def _in_whose_name(self) -> str:
        organization = self._scene.organization
        if organization is None:
            return str(self._words["say"]["in_no_name"])
        return str(self._words["say"]["in_the_name_of"]).format(organization=organization)

    def _greeting(self) -> str:
        return self._scene.greeting or str(self._words["say"]["greeting"][0])

    def _has_greeted(self) -> bool:
        beginning = self._greeting()[:40]
        return any(beginning in text for text in self._scene.said)

    def _ask(self, slot: str) -> str:
        forms: list[str] = self._words["ask"][slot]
        return min(forms, key=self._last_said)

    def _ending(self, text: str, reason: str) -> Reply:
        """Words and the call that hangs up, in one response."""
        return Reply(text, self._call("end_call", reason=reason))

    def _call(self, name: str, text: str = "", **values: str) -> tuple[ToolCall, ...]:
        tool = self._scene.tool(name)
        return (ToolCall(name, arguments_for(tool, text or self._scene.pending, values)),) if tool else ()

    # -- what the platform says -------------------------------------------------------------------------------------

    def _on_notice(self, notice: str) -> Reply | None:
        if means("notice_silence_last", notice):
            return self._ending(self._say("silence_last"), "silence")
        if means("notice_silence_first", notice):
            return Reply(self._say("silence_first"))
        if means("notice_time", notice):
            return self._ending(self._say("time_up"), "goodbye")
        if self._scene.pending:
            return None
        if means("notice_greet", notice) and not self._has_greeted():
            return Reply(self._greeting())
        if means("notice_goodbye", notice):
            return self._ending(self._goodbye(), "goodbye")
        if means("notice_resume", notice) and self._has_greeted():
            return Reply(self._say("resume"))
        return None

    # -- what tools answer ------------------------------------------------------------------------------------------

    def _after_tools(self, outputs: tuple[Line, ...]) -> Reply:
        replies = [self._after_tool(output) for output in outputs]
        return Reply(" ".join(reply.text for reply in replies if reply.text), tuple(call for reply in replies for call in reply.calls))

    def _after_tool(self, output: Line) -> Reply:
        match output.name:
            case "register_opt_out":
                said = self._say("opt_out_failed" if means("failed", output.text) else "opted_out")
                return self._ending(f"{said} {self._say('goodbye')}", "goodbye")
            case "wrong_number":
                return self._ending(f"{self._say('wrong_number')} {self._say('goodbye')}", "goodbye")
            case "transfer_to_human":
                return self._after_transfer(output.text)
            case "request_callback":
                return self._after_callback(output.text)
            case "end_call":
                return self._ending(self._say("goodbye"), "goodbye") if self._may_repeat("end_call", output.text) else Reply()
            case _ if means("not_found", output.text):
                return Reply(self._say("unknown_fact"))
            case _:
                return Reply(f"{spoken(output.text)} {self._next_question()}".strip())

    def _after_callback(self, answer: str) -> Reply:
        if means("callback_booked", answer):
            when = re.split(r"\b(?:para|for) ", answer, maxsplit=1)[1].partition(".")[0]
            return Reply(self._say("callback_booked", when=when))
        return Reply(self._say("callback_impossible" if means("callback_impossible", answer) else "callback_other"))

    def _after_transfer(self, answer: str) -> Reply:
        if means("failed", answer):
            return Reply(self._say("transfer_failed"))
        if means("nothing_more", answer) or not self._may_repeat("transfer_to_human", answer):
            return Reply()
        return Reply(self._say("transfer"), self._call("transfer_to_human"))

    def _may_repeat(self, tool: str, answer: str) -> bool:
        """Sent back with words by a tool that wants something said first: once is enough."""
        return bool(answer.strip()) and sum(line.kind == "call" and line.name == tool for line in self._scene.lines) < _CALLS_OF_ONE_TOOL

    def _next_question(self) -> str:
        """After a fact: what the request still lacks; else, but not each time, whether there is more."""
        if self._request.begun and self._request.missing:
            return self._ask(self._request.missing)
        return self._say("more") if self._times_said("more") < 2 else ""

    # -- what the caller says ---------------------------------------------------------------------------------------

    def _answer(self, heard: Heard) -> Reply:
        if reply := self._callback(heard):
            return reply
        if reply := self._continued(heard):
            return reply
        if heard.is_a("unclear") and self._request.fresh:
            return self._statement()
        if heard.intent in _ONE_SENTENCE:
            return Reply(self._say(heard.intent))
        return self._ANSWERS[heard.intent](self)

    def _continued(self, heard: Heard) -> Reply | None:
        """An answer to something that we asked and that changes what the words mean."""
        last = self._scene.said[-1] if self._scene.said else ""

        def asked(kind: str) -> bool:
            return any(_beginning(form) in last for form in self._words["say"][kind])

        if asked("emergency") and not heard.is_a("farewell"):
            return Reply(self._say("emergency"))
        if asked("minor_first"):
            return self._ending(self._say("minor_goodbye"), "minor") if heard.is_a("no", "minor", "statement") else None
        if (asked("not_now") or asked("third_party")) and means("deferral", heard.text):
            return self._ending(self._say("callback_noted"), "goodbye")
        if asked("not_interested") or asked("not_now"):
            if heard.is_a("yes"):
                return Reply(calls=self._call("register_opt_out"))
            if heard.is_a("no", "not_interested"):
                return self._ending(self._goodbye(), "goodbye")
        if asked("transfer_failed") or asked("transfer_none"):
            return self._about_the_message(heard)
        if asked("summary") and heard.is_a("yes"):
            return Reply(self._say("confirmed_fictional" if self._scene.fictional else "confirmed"))
        return None

    def _callback(self, heard: Heard) -> Reply | None:
        """To be called again at another time, where there is a tool for it: with the day and the hour that were said since."""
        calendar = self._words["calendar"]
        now = now_in(self._scene.instructions, calendar)
        if self._scene.tool("request_callback") is None or now is None or heard.is_a(*_MORE_URGENT):
            return None
        last = self._scene.said[-1] if self._scene.said else ""
        asked = any(_beginning(form) in last for kind in _ASKS_WHEN for form in self._words["say"][kind])
        if not means("callback", heard.text) and not (asked and names_a_time(heard.text, calendar)):
            return None
        day, hour = when_in(self._since_they_asked(), now, calendar)
        if day is None:
            return Reply(self._say("callback_day"))
        if hour is None:
            return Reply(self._say("callback_hour"))
        return Reply(calls=self._call("request_callback", date=day.isoformat(), time=f"{hour:%H:%M}"))

    def _since_they_asked(self) -> str:
        """What the caller said from their last wish to be called again on: what was said last counts."""
        heard = self._scene.heard
        asked = next((index for index in range(len(heard) - 1, -1, -1) if means("callback", heard[index])), len(heard) - 1)
        return " ".join(heard[asked:])

    def _about_the_message(self, heard: Heard) -> Reply | None:
        """What follows when there is nobody to pass the call to."""
        if heard.is_a("question", "person"):
            return Reply(self._say("transfer_failed"))
        return Reply(self._say("message_taken")) if heard.is_a("statement", "yes") else None

    def _goodbye(self) -> str:
        if self._has_a_request() and not self._times_said("confirmed") and not self._times_said("confirmed_fictional"):
            return self._say("goodbye_request_fictional" if self._scene.fictional else "goodbye_request")
        return self._say("goodbye")

    def _has_a_request(self) -> bool:
        """Is there more to confirm than the time of another call?"""
        return self._request.worth_confirming and not self._times_said("callback_booked")

    def _voicemail(self) -> Reply:
        return self._ending("", "voicemail")

    def _opt_out(self) -> Reply:
        if calls := self._call("register_opt_out"):
            return Reply(calls=calls)
        return self._ending(f"{self._say('opted_out')} {self._say('goodbye')}", "goodbye")

    def _wrong_number(self) -> Reply:
        if calls := self._call("wrong_number"):
            return Reply(calls=calls)
        return self._ending(f"{self._say('wrong_number')} {self._say('goodbye')}", "goodbye")

    def _minor(self) -> Reply:
        return Reply(self._say("minor_first"))

    def _foreign(self) -> Reply:
        if self._times_said("foreign_first"):
            return self._ending(self._say("foreign_last"), "language")
        return Reply(self._say("foreign_first"))

    def _person(self) -> Reply:
        if calls := self._call("transfer_to_human"):
            return Reply(self._say("transfer"), calls)
        return Reply(self._say("transfer_none"))

    def _abuse(self) -> Reply:
        if self._times_said("abuse"):
            return self._ending(self._say("abuse_goodbye"), "abuse")
        return Reply(self._say("abuse"))

    def _farewell(self) -> Reply:
        return self._ending(self._goodbye(), "goal_reached" if self._has_a_request() else "goodbye")

    def _bad_moment(self) -> Reply:
        if means("deferral", self._scene.pending) and self._times_said("not_now"):
            return self._ending(self._say("callback_noted"), "goodbye")
        return Reply(self._say("not_now"))

    def _who(self) -> Reply:
        if not self._has_greeted():
            return Reply(f"{self._say('who')} {self._greeting()}")
        return Reply(f"{self._say('who')} {self._say('open_question')}")

    def _question(self) -> Reply:
        if pattern(self._words["slots"]["callback"]).search(fold(self._scene.pending)):
            return self._statement()
        query = search_for(question_in(self._scene.pending), self._scene)
        if calls := self._call("lookup_information", query):
            return Reply(calls=calls)
        return Reply(self._say("unknown_fact"))

    def _statement(self) -> Reply:
        request = self._request
        if means("hello", self._scene.pending) and not self._has_greeted() and len(self._scene.pending.split()) <= 3:
            return Reply(self._greeting())
        if self._is_about_a_fact() and (calls := self._call("lookup_information", self._scene.pending)):
            return Reply(calls=calls)
        opening = self._say("acknowledge")
        if request.corrected and means("correction", self._scene.pending):
            opening = self._say("corrected", value=request.corrected)
        if not request.begun:
            return Reply(f"{opening} {self._say('open_question')}")
        if request.missing:
            return Reply(f"{opening} {self._ask(request.missing)}")
        if request.worth_confirming and not self._times_said("summary"):
            return Reply(self._say("summary", summary=request.summary(self._words)))
        if not (self._times_said("confirmed") or self._times_said("confirmed_fictional")):
            return Reply(self._say("confirmed_fictional" if self._scene.fictional else "confirmed"))
        return Reply(f"{opening} {self._say('more')}")

    def _is_about_a_fact(self) -> bool:
        """Does a sentence that neither asks nor answers us name something that can be looked up?"""
        pending = self._scene.pending
        return not self._request.fresh and not means("asked_for_a_request", pending) and topic_of(pending, self._scene) is not None

    _ANSWERS: ClassVar[dict[str, Callable[["_Turn"], Reply]]] = {
        "voicemail": _voicemail,
        "opt_out": _opt_out,
        "minor": _minor,
        "wrong_number": _wrong_number,
        "foreign": _foreign,
        "person": _person,
        "abuse": _abuse,
        "farewell": _farewell,
        "bad_moment": _bad_moment,
        "who": _who,
        "question": _question,
        "yes": _statement,
        "no": _statement,
        "statement": _statement,
    }


def _beginning(form: str) -> str:
    """What of a sentence is the same each time it is said."""
    return form.partition("{")[0][:24]
