"""Pasted text as it was meant: in ASCII as far as there is one for it, nothing invisible in it."""

from __future__ import annotations

import re
import unicodedata


def plain(text: str) -> str:
    """Digits and marks of all scripts as ASCII has them; what can't be seen, and quotes and signs
    around it, left out."""
    chars = []
    for char in unicodedata.normalize("NFKC", text):
        category = unicodedata.category(char)
        if category == "Nd":
            chars.append(str(unicodedata.digit(char)))
        elif category == "Pd":
            chars.append("-")
        elif category in ("Pi", "Pf") or char in "\u201a\u201e":
            chars.append('"')
        elif category in ("Cc", "Zs", "Zl", "Zp"):
            chars.append(" ")
        elif category not in ("Cf", "Cs", "Co", "Cn"):
            chars.append(char)
    return " ".join("".join(chars).split()).strip(" \"'`<>()[]{}#,;")


def decoded(part: str) -> str:
    """Percent-encoded ASCII as it is meant."""
    meant = re.sub(r"%([2-7][0-9A-Fa-f])", lambda code: chr(int(code[1], 16)), part)
    return plain(meant.replace("+", " "))
