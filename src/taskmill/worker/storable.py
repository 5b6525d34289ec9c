"""Text as PostgreSQL takes it, whatever a handler has made of it."""


def storable(text: str, longest: int) -> str:
    """Cut the text, and write out what UTF-8 or PostgreSQL can't hold (lone surrogates, NUL)."""
    cut = text if len(text) <= longest else text[: longest - 1] + "…"
    return cut.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
