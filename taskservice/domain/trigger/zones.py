"""Names that people give time zones which have other ones, and what they may mean by them.

The zones are IANA's. Its names are of regions' largest or best known places, so that many a city
has none of its own; and abbreviations are shared by several zones, or hold for half a year only.
"""

from collections.abc import Iterable
from difflib import get_close_matches

_CLOSE = 0.85
"""How like a known name one must be to be taken for a slip of it (difflib's ratio)."""

_SHORTEST = 5
"""Shorter names are like many others by chance: `CST` is no slip of `UCT`."""

ABBREVIATIONS = {
    "ACST": "Australia/Darwin or Australia/Adelaide", "AEDT": "Australia/Sydney",
    "AEST": "Australia/Sydney or Australia/Brisbane", "AST": "America/Halifax or Asia/Riyadh",
    "AWST": "Australia/Perth", "BST": "Europe/London or Asia/Dhaka", "CDT": "America/Chicago",
    "CEST": "Europe/Berlin or Europe/Paris",
    "CST": "Asia/Shanghai, America/Chicago or America/Havana", "EDT": "America/New_York",
    "EEST": "Europe/Helsinki or Europe/Athens", "GST": "Asia/Dubai", "HKT": "Asia/Hong_Kong",
    "IST": "Asia/Kolkata, Asia/Jerusalem or Europe/Dublin", "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul", "MDT": "America/Denver", "MSK": "Europe/Moscow",
    "NZDT": "Pacific/Auckland", "NZST": "Pacific/Auckland", "PDT": "America/Los_Angeles",
    "PKT": "Asia/Karachi", "PST": "America/Los_Angeles or Asia/Manila", "SGT": "Asia/Singapore",
    "SST": "Pacific/Pago_Pago", "WEST": "Europe/Lisbon",
}  # fmt: skip
CITIES = {
    "Asia/Shanghai": "Beijing Peking Shenzhen Guangzhou Chengdu Hangzhou Nanjing Wuhan Tianjin",
    "Asia/Kolkata": "Mumbai Bombay Delhi New_Delhi Bangalore Bengaluru Chennai Hyderabad",
    "Asia/Tokyo": "Osaka Kyoto", "Asia/Dubai": "Abu_Dhabi", "Asia/Karachi": "Islamabad Lahore",
    "Asia/Ho_Chi_Minh": "Hanoi",
    "Europe/Berlin": "Munich Hamburg Frankfurt Cologne", "Europe/Zurich": "Geneva Bern Basel",
    "Europe/Rome": "Milan", "Europe/Madrid": "Barcelona", "Europe/Amsterdam": "Rotterdam",
    "America/New_York": "Boston Washington Miami Atlanta Philadelphia",
    "America/Chicago": "Houston Dallas Austin",
    "America/Los_Angeles": "San_Francisco Seattle San_Diego Las_Vegas",
    "America/Sao_Paulo": "Rio_de_Janeiro Brasilia",
}  # fmt: skip
MEANT = {
    f"{zone.partition('/')[0]}/{city}": zone
    for zone, cities in CITIES.items()
    for city in cities.split()
}


def zone_hint(name: str, known: Iterable[str]) -> str:
    """`; did you mean …?`, or what an abbreviation may mean; nothing if no zone is like it."""
    if meant := ABBREVIATIONS.get(name.upper()):
        return f"; it may mean {meant}: name the place"
    names = {**{one.lower(): one for one in MEANT}, **{one.lower(): one for one in known}}
    given = name[:50].lower().replace(" ", "_")
    cities = {one.rpartition("/")[2]: one for one in sorted(names, reverse=True) if "/" in one}
    found = given if given in names else cities.get(given)
    if found is None and len(given) >= _SHORTEST:
        close = get_close_matches(given, names, 1, _CLOSE)
        found = close[0] if close else None
    if found is None:
        return ""
    if meant := MEANT.get(names[found]):
        return f'; the zone of {names[found].rpartition("/")[2]} is "{meant}"'
    return f'; did you mean "{names[found]}"?'
