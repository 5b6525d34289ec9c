"""Numbers with all their digits, where PostgreSQL and Python agree on them."""


def exact_number(value: float) -> float:
    """Return a whole number as an integer, if it fits in 64 bits: a double has 17 exact digits."""
    if abs(value) < 2**63 and value == int(value):
        return int(value)
    return value
