"""What a mistyped name may have meant."""

import difflib
from collections.abc import Iterable


def near(word: str, known: Iterable[str]) -> str:
    """The known names near a word, or all of them, for the end of an error's line."""
    known = sorted(known)
    found = difflib.get_close_matches(word.lower(), known, n=3, cutoff=0.5)
    if found:
        return "did you mean " + " or ".join(repr(name) for name in found) + "?"
    return "there are " + ", ".join(known) if known else "there are none"
