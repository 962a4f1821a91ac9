"""Hears a plain “do not call me again” in what the callee said: the model is not trusted with it alone (R5).

Only what is plain. What is unclear the persona asks about, and registers it by its tool.
"""

import re
import unicodedata

_CALL_PT = r"(?:lig\w+|telefon\w+|contact\w+|contat\w+)"
_NOT_LATER = r"(?! (?:tarde|logo|cedo|daqui|para))"
PLAIN = re.compile(
    "|".join(
        (
            rf"\bnao (?:me |nos )?{_CALL_PT}(?:-me|-nos)? (?:nunca )?mais\b{_NOT_LATER}",
            rf"\bnao (?:me |nos |quero que (?:me |nos )?)?volt\w+ a (?:me |nos )?{_CALL_PT}",
            rf"\bnunca mais (?:me |nos )?{_CALL_PT}",
            rf"\bpar\w+ de (?:me |nos )?(?:{_CALL_PT}|incomodar)",
            r"\b(?:tir\w+|retir\w+|remov\w+|apag\w+|elimin\w+) (?:ja )?(?:d[ao] \w+ )?o (?:meu|nosso) (?:numero|contacto|contato|telefone)",
            r"\b(?:do not|don't|dont|never) (?:ever )?(?:call|phone|ring|contact) (?:me|us) (?:again|any ?more|ever)\b",
            r"\bstop (?:calling|phoning|ringing|contacting)\b",
            r"\b(?:take|remove|delete) (?:my number|me) (?:off|from)\b",
        )
    )
)
# A sentence of ours that comes back from the callee's loudspeaker is longer than what it quotes.
ECHO_WORDS = 6


def asks_not_to_be_called(said: str, *, opening: str) -> bool:
    """Does the callee plainly ask not to be called again? Our own opening, heard back from a loudspeaker, is not the callee."""
    folded = _folded(said)
    if len(folded.split()) >= ECHO_WORDS and folded in _folded(opening):
        return False
    return PLAIN.search(folded) is not None


def _folded(text: str) -> str:
    """Small letters without accents, words a space apart; apostrophes and hyphens within words stay."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text.replace("’", "'").lower()) if not unicodedata.combining(each))
    return " ".join(re.findall(r"[\w'-]+", bare))
