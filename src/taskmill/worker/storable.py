"""Makes text from handlers acceptable to PostgreSQL."""


def storable(text: str, longest: int) -> str:
    """Cut the text, and escape what UTF-8 or PostgreSQL can't store (lone surrogates, NUL)."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
