"""When somebody wants to be called again: the day and the hour in what they said, counted from the time in the instructions."""

import functools
import re
from datetime import date, datetime, time, timedelta
from typing import Any

from agent_worker.realtime_emulator.mind.hearing import fold, pattern

# Who says “at five” means the afternoon: nobody is called before nine.
_FIRST_HOUR = 9
_NOON, _MINUTES = 12, 60
_WEEK, _TWO_MONTHS = 7, 62


def now_in(instructions: str, calendar: dict[str, Any]) -> datetime | None:
    """The time where the person is, as the instructions say it: «12 de novembro de 2026, 15h40»."""
    found = re.search(calendar["now"], fold(instructions))
    if found is None or found["month"] not in calendar["months"]:
        return None
    month = calendar["months"].index(found["month"]) + 1
    return datetime(int(found["year"]), month, int(found["day"]), int(found["hour"]), int(found["minute"]))  # noqa: DTZ001  # of there


def when_in(text: str, now: datetime, calendar: dict[str, Any]) -> tuple[date | None, time | None]:
    """The last day and the last hour that the text names; an hour alone is the next such one."""
    folded = fold(text)
    day, hour = _day_in(folded, now.date(), calendar), _hour_in(folded, calendar)
    if day is None and hour is not None:
        day = now.date() + timedelta(days=0 if hour > now.time() else 1)
    return day, hour


def names_a_time(text: str, calendar: dict[str, Any]) -> bool:
    folded = fold(text)
    return _day_in(folded, date(2026, 1, 1), calendar) is not None or _hour_in(folded, calendar) is not None


def _day_in(folded: str, today: date, calendar: dict[str, Any]) -> date | None:
    matches = _compiled(calendar["day"], tuple(calendar["numbers"])).finditer(folded)
    days = [day for match in matches if (day := _day_of(match, today, calendar))]
    return days[-1] if days else None


def _day_of(match: re.Match[str], today: date, calendar: dict[str, Any]) -> date | None:
    if relative := match["relative"]:
        return today + timedelta(days=calendar["relative"][" ".join(relative.split())])
    if weekday := match["weekday"]:
        # On a Monday, “Monday” is the next one.
        return today + timedelta(days=(calendar["weekdays"].index(weekday) - today.weekday() - 1) % _WEEK + 1)
    return _next_day(_number(match["number"], calendar), today)


def _next_day(number: int, today: date) -> date | None:
    """The next day of that number, in this month or in one after it that has so many days."""
    days = (today + timedelta(days=ahead) for ahead in range(_TWO_MONTHS))
    return next((day for day in days if day.day == number), None)


def _hour_in(folded: str, calendar: dict[str, Any]) -> time | None:
    matches = _compiled(calendar["hour"], tuple(calendar["numbers"])).finditer(folded)
    hours = [hour for match in matches if (hour := _hour_of(match, calendar))]
    return hours[-1] if hours else None


def _hour_of(match: re.Match[str], calendar: dict[str, Any]) -> time | None:
    groups = {name: value for name, value in match.groupdict().items() if value}
    hour = _NOON if "noon" in groups else _number(next(value for name, value in groups.items() if name.startswith("hour")), calendar)
    minute = calendar["minutes"].get(groups.get("half", ""), 0) or _number(groups.get("minute", ""), calendar)
    part = groups.get("part", "")
    if hour < _NOON and (part in calendar["later"] or (not part and hour < _FIRST_HOUR)):
        hour += _NOON
    return time(hour, minute) if hour < 2 * _NOON and minute < _MINUTES else None


def _number(text: str, calendar: dict[str, Any]) -> int:
    if not text:
        return 0
    return int(text) if text.isdigit() else int(calendar["numbers"][" ".join(text.split())])


@functools.cache
def _compiled(source: str, numbers: tuple[str, ...]) -> re.Pattern[str]:
    """`source` with any number, in figures or words, in the place of NUMBER."""
    longest_first = sorted(numbers, key=len, reverse=True)
    return pattern(source.replace("NUMBER", rf"\d{{1,2}}|{'|'.join(longest_first)}"))
