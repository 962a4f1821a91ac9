"""Where a number's phone is likely to be. For Brazil by area code (DDD): `phonenumbers` is wrong for parts of it (R8)."""

from zoneinfo import ZoneInfo

# Everything but these area codes keeps the time of Brasília under a name of its own.
BRAZIL = {
    **dict.fromkeys(("65", "66"), "America/Cuiaba"),
    "67": "America/Campo_Grande",
    "68": "America/Rio_Branco",
    "69": "America/Porto_Velho",
    "92": "America/Manaus",
    "95": "America/Boa_Vista",
    "97": "America/Manaus",
    "63": "America/Araguaina",
    **dict.fromkeys(("71", "73", "74", "75", "77"), "America/Bahia"),
    **dict.fromkeys(("79", "82"), "America/Maceio"),
    **dict.fromkeys(("81", "87"), "America/Recife"),
    **dict.fromkeys(("83", "84", "85", "86", "88", "89", "98", "99"), "America/Fortaleza"),
    **dict.fromkeys(("91", "93", "94", "96"), "America/Belem"),
}
BRASILIA = "America/Sao_Paulo"
# Fixed phones of the islands; a mobile is taken to be on the mainland.
PORTUGAL = {"291": "Atlantic/Madeira", "292": "Atlantic/Azores", "295": "Atlantic/Azores", "296": "Atlantic/Azores"}
LISBON = "Europe/Lisbon"


def likely_zone(e164: str, country: str) -> ZoneInfo:
    """The zone of a number given as E.164, with its country ("PT"). Other countries: their first zone, or UTC."""
    if country == "PT":
        return ZoneInfo(PORTUGAL.get(e164[4:7], LISBON))
    if country == "BR":
        return ZoneInfo(BRAZIL.get(e164[3:5], BRASILIA))
    # Loads a table of its own, for the few numbers that need it.
    from phonenumbers import parse, timezone

    zone = timezone.time_zones_for_number(parse(e164))[0]
    return ZoneInfo("UTC" if zone == timezone.UNKNOWN_TIMEZONE else zone)
