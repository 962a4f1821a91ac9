"""A moment in words: as a prompt writes it, «quinta-feira, 12 de novembro de 2026, 15h40», and as it is said aloud.

Not by Django's formats: the prompt's language is the persona's, whatever the process's is.
"""

from datetime import datetime

from accounts.locales import Locale

_WEEKDAYS = {
    Locale.PT_PT: ("segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo"),
    Locale.PT_BR: ("segunda-feira", "terça-feira", "quarta-feira", "quinta-feira", "sexta-feira", "sábado", "domingo"),
    Locale.EN: ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
_PORTUGUESE_MONTHS = (
    *("janeiro", "fevereiro", "março", "abril", "maio", "junho"),
    *("julho", "agosto", "setembro", "outubro", "novembro", "dezembro"),
)
_MONTHS = {
    Locale.PT_PT: _PORTUGUESE_MONTHS,
    Locale.PT_BR: _PORTUGUESE_MONTHS,
    Locale.EN: (
        *("January", "February", "March", "April", "May", "June"),
        *("July", "August", "September", "October", "November", "December"),
    ),
}
_ONES_PT = ("", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove")
_TEENS = {
    Locale.PT_PT: ("dez", "onze", "doze", "treze", "catorze", "quinze", "dezasseis", "dezassete", "dezoito", "dezanove"),
    Locale.PT_BR: ("dez", "onze", "doze", "treze", "catorze", "quinze", "dezesseis", "dezessete", "dezoito", "dezenove"),
    Locale.EN: (*("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),),
}
_TENS_PT = {2: "vinte", 3: "trinta", 4: "quarenta", 5: "cinquenta"}
_ONES_EN = ("", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TENS_EN = {2: "twenty", 3: "thirty", 4: "forty", 5: "fifty"}
_ORDINALS_EN = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}
# From which hour on people say "da tarde", "da noite"; "in the afternoon", "in the evening".
_PARTS = {
    Locale.PT_PT: ((20, "da noite"), (12, "da tarde"), (0, "da manhã")),
    Locale.PT_BR: ((19, "da noite"), (12, "da tarde"), (0, "da manhã")),
    Locale.EN: ((18, "in the evening"), (12, "in the afternoon"), (0, "in the morning")),
}
_NOON, _HALF, _TEN, _TWENTY = 12, 30, 10, 20


def in_words(moment: datetime, locale: str) -> str:
    """`moment` (aware, in the zone that is meant) as people of `locale` write it, to the minute."""
    language = Locale(locale)
    weekday, month = _WEEKDAYS[language][moment.weekday()], _MONTHS[language][moment.month - 1]
    if language == Locale.EN:
        return f"{weekday}, {moment.day} {month} {moment.year}, {moment:%H:%M}"
    day = "1.º" if language == Locale.PT_PT and moment.day == 1 else "1º" if moment.day == 1 else str(moment.day)
    return f"{weekday}, {day} de {month} de {moment.year}, {moment.hour}h{moment.minute:02d}"


def spoken(moment: datetime, locale: str) -> str:
    """`moment` (aware, in the zone that is meant) as it is said aloud, without the year: «quarta-feira, dia vinte e cinco de novembro,
    às dez da manhã»."""
    language = Locale(locale)
    weekday, month = _WEEKDAYS[language][moment.weekday()], _MONTHS[language][moment.month - 1]
    if language == Locale.EN:
        return f"{weekday} the {_ordinal_en(moment.day)} of {month}, at {_hour_en(moment)}"
    day = "primeiro" if language == Locale.PT_BR and moment.day == 1 else _number(moment.day, language)
    return f"{weekday}, dia {day} de {month}, {_hour_pt(moment, language)}"


def _hour_pt(moment: datetime, language: Locale) -> str:
    minutes = "" if not moment.minute else " e meia" if moment.minute == _HALF else f" e {_number(moment.minute, language)}"
    if moment.hour in (0, _NOON):
        return ("ao meio-dia" if moment.hour else "à meia-noite") + minutes
    hour = moment.hour % _NOON
    # Hours are feminine.
    word = {1: "uma", 2: "duas"}.get(hour) or _number(hour, language)
    return f"{'à' if hour == 1 else 'às'} {word}{minutes} {_part(moment, language)}"


def _hour_en(moment: datetime) -> str:
    if not moment.minute and moment.hour in (0, _NOON):
        return "noon" if moment.hour else "midnight"
    hour = _number(moment.hour % _NOON or _NOON, Locale.EN)
    minute = moment.minute
    oh = "oh " if 0 < minute < _TEN else ""
    clock = hour if not minute else f"half past {hour}" if minute == _HALF else f"{hour} {oh}{_number(minute, Locale.EN)}"
    return f"{clock} {_part(moment, Locale.EN)}"


def _part(moment: datetime, language: Locale) -> str:
    return next(part for hour, part in _PARTS[language] if moment.hour >= hour)


def _number(number: int, language: Locale) -> str:
    """From 1 to 59."""
    ones, tens, joint = (_ONES_EN, _TENS_EN, "-") if language == Locale.EN else (_ONES_PT, _TENS_PT, " e ")
    if number < _TEN:
        return ones[number]
    if number < _TWENTY:
        return _TEENS[language][number - _TEN]
    return tens[number // 10] + (joint + ones[number % 10] if number % 10 else "")


def _ordinal_en(day: int) -> str:
    tens, ones = divmod(day, 10)
    if day in _ORDINALS_EN:
        return _ORDINALS_EN[day]
    if day > _TWENTY and ones:
        return f"{_TENS_EN[tens]}-{_ORDINALS_EN.get(ones) or _number(ones, Locale.EN) + 'th'}"
    return _number(day, Locale.EN).removesuffix("y") + ("ieth" if not ones and tens > 1 else "th")
