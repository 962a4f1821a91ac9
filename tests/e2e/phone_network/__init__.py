"""The telephone network behind LiveKit's SIP API, twice: a stand-in for the SIP service, and the real one with a SIP callee."""

from .network import Leg, NetworkUnavailable, PhoneNetwork
from .phone import Phone
from .stand_in import StandIn

__all__ = ["Leg", "NetworkUnavailable", "Phone", "PhoneNetwork", "StandIn"]
