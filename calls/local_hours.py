"""The hours, where the person is, in which calls that nobody places by hand are put: retries and callbacks.

A country that has none here is called only when somebody asks for it.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from contacts import numbers
from contacts.numbers import PhoneNumber


@dataclass(frozen=True, slots=True)
class Hours:
    """From `opens` to `closes`, in the callee's local time; closing excluded."""

    opens: time
    closes: time


# R7. Portugal's law says 9 to 22; Brazil has no federal rule.
HOURS = {"PT": Hours(time(9), time(21)), "BR": Hours(time(9), time(20))}


def are_known(number: PhoneNumber) -> bool:
    return number.country in HOURS


def is_open(number: PhoneNumber, at: datetime) -> bool:
    """Whether `at` lies within the hours of a number whose country has some."""
    hours = HOURS[number.country]
    return hours.opens <= at.astimezone(numbers.zone_of(number)).time() < hours.closes


def next_opening(number: PhoneNumber, after: datetime) -> datetime:
    """`after` if it is within the hours of the number's country, else when they begin next."""
    if is_open(number, after):
        return after
    hours, local = HOURS[number.country], after.astimezone(numbers.zone_of(number))
    day = local.date() + timedelta(days=0 if local.time() < hours.opens else 1)
    return datetime.combine(day, hours.opens, tzinfo=local.tzinfo)


def closing(number: PhoneNumber, at: datetime) -> datetime:
    """When the hours end on the day of `at`."""
    local = at.astimezone(numbers.zone_of(number))
    return datetime.combine(local.date(), HOURS[number.country].closes, tzinfo=local.tzinfo)
