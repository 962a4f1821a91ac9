"""Fictional phone numbers: well-formed, and given to nobody (the operators' blocks 91 000 and 11 9 0000 are not assigned)."""


def pt_mobile(n: int = 1) -> str:
    """A Portuguese mobile number, different for each n from 0 to 9999."""
    return f"+35191000{n:04d}"


def br_mobile(n: int = 1) -> str:
    """A mobile number of São Paulo, different for each n from 0 to 999."""
    return f"+5511990000{n:03d}"


def pt_fixed(n: int = 1) -> str:
    """A fixed number of Lisbon, different for each n from 0 to 999."""
    return f"+351210000{n:03d}"
