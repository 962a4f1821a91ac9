"""A moment in words, as a prompt says it: «quinta-feira, 12 de novembro de 2026, 15h40».

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


def in_words(moment: datetime, locale: str) -> str:
    """`moment` (aware, in the zone that is meant) as people of `locale` write it, to the minute."""
    language = Locale(locale)
    weekday, month = _WEEKDAYS[language][moment.weekday()], _MONTHS[language][moment.month - 1]
    if language == Locale.EN:
        return f"{weekday}, {moment.day} {month} {moment.year}, {moment:%H:%M}"
    day = "1.º" if language == Locale.PT_PT and moment.day == 1 else "1º" if moment.day == 1 else str(moment.day)
    return f"{weekday}, {day} de {month} de {moment.year}, {moment.hour}h{moment.minute:02d}"
