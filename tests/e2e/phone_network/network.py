"""What the tests ask of a telephone network, whichever stands behind it."""

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from .phone import Phone


class NetworkUnavailable(Exception):
    """This network cannot be had on this machine: {why}."""

    def __init__(self, why: str) -> None:
        super().__init__((self.__doc__ or "").format(why=why))


class Leg(ABC):
    """The phone's end of one call's SIP dialog. The network makes one for each INVITE and hands it to the phone that was called."""

    @abstractmethod
    def ring(self) -> None:
        """180 Ringing."""

    @abstractmethod
    async def answer(self) -> None:
        """200 OK with media; sound flows in both directions from here on."""

    @abstractmethod
    def reject(self, code: int) -> None:
        """A final answer that is no answer: 486, 603, …"""

    @abstractmethod
    async def hang_up(self) -> None:
        """BYE."""

    @abstractmethod
    def speak(self, frame: bytes) -> None:
        """20 ms of pcm16 at 8 kHz towards the room; called every 20 ms while the call lasts."""

    @abstractmethod
    def press(self, digit: str) -> None:
        """One DTMF digit."""

    @abstractmethod
    def report_transfer(self, code: int) -> None:
        """The REFER's final NOTIFY: 200, or how the transfer failed."""


class PhoneNetwork(ABC):
    """Phones that livekit-server can reach by `CreateSIPParticipant`, through a trunk to `address`.

    A number without a phone answers 404. All of it runs on the event loop that started it.
    """

    name: str
    address: str

    def __init__(self) -> None:
        self.phones: dict[str, Phone] = {}

    def phone(self, number: str) -> "Phone":
        """A new phone at `number` (E.164); the one that was there is unplugged."""
        from .phone import Phone

        self.phones[number] = Phone(number)
        return self.phones[number]

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    def away(self) -> AbstractAsyncContextManager[None]:
        """The SIP service is not there while the block runs, and is again after it. No call may be running."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()
        for phone in self.phones.values():
            await phone.unplug()
