"""Make static/fonts/ from Debian's Noto packages: `python scripts/build_fonts.py ROOT`.

ROOT is a folder into which fonts-noto-core, fonts-noto-cjk and fonts-noto-color-emoji were
unpacked (`dpkg-deb -x`). Needs fontTools. Run it again only to take newer fonts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

TARGET = Path(__file__).parents[1] / "static" / "fonts"
SCRIPTS = ["Armenian", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao"]
SCRIPTS += ["Malayalam", "Myanmar", "Oriya", "Sinhala", "Symbols2", "Tamil", "Telugu", "Thaana"]
SCRIPTS += ["Tifinagh"]
# In bold too: what currency signs and most issuers' names are written in.
IN_BOLD = ["", "Arabic", "Bengali", "Devanagari", "Hebrew", "Thai"]
WHOLE = [f"Sans{script}-Regular" for script in [*SCRIPTS, *IN_BOLD]]
WHOLE += [f"Sans{script}-Bold" for script in IN_BOLD]
OPERATORS = range(0x2190, 0x2300)
EMOJI = [*range(0x1F600, 0x1F650), *range(0x1F680, 0x1F6FD), *range(0x1F440, 0x1F450)]
EMOJI += [*range(0x1F490, 0x1F4A0), *range(0x1F334, 0x1F33F), *range(0x1F380, 0x1F394)]
EMOJI += [*range(0x1F3FB, 0x1F400), *range(0x1F1E6, 0x1F200), 0x200D]
EMOJI += [0x2B50, 0x2705, 0x274C, 0x1F3E0, 0x1F3E8, 0x1F4B3, 0x1F4B0, 0x1F9FE, 0x1F4CD, 0x1F64F]
EMOJI += [0x1F525, 0x1F4AF, 0x1F917, 0x1F914, 0x1F970, 0x1F973, 0x1F60A, 0x2764, 0x2708, 0xFE0F]


def main(root: Path) -> None:
    noto = root / "usr/share/fonts/truetype/noto"
    TARGET.mkdir(parents=True, exist_ok=True)
    for name in WHOLE:
        write(TTFont(noto / f"Noto{name}.ttf"), f"Noto{name}.ttf")
    write(TTFont(noto / "NotoSansMath-Regular.ttf"), "NotoSansMath-Regular.ttf", OPERATORS)
    write(TTFont(noto / "NotoColorEmoji.ttf"), "NotoColorEmoji.ttf", EMOJI)
    collection = root / "usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
    write(chinese(collection), "NotoSansCJKsc-Regular.otf", cjk_codes(), features=())


def chinese(collection: Path) -> TTFont:
    """The member of the collection with the forms of simplified Chinese."""
    fonts = (TTFont(collection, fontNumber=number) for number in range(10))
    return next(f for f in fonts if f["name"].getDebugName(6) == "NotoSansCJKsc-Regular")


def cjk_codes() -> set[int]:
    """What the national character sets in daily use hold, and all of Hangul's syllables."""
    codes = set(range(0xAC00, 0xD7A4)) | set(range(0x3000, 0x3130)) | set(range(0xFF00, 0xFFF0))
    for charset in ("gb2312", "big5", "shift_jis", "euc_kr", "big5hkscs"):
        codes |= {code for code in range(0x2E80, 0xFB00) if encodes(code, charset)}
    return codes


def encodes(code: int, charset: str) -> bool:
    return bool(chr(code).encode(charset, errors="ignore"))


def write(
    font: TTFont, name: str, codes: Iterable[int] = (), features: tuple[str, ...] = ("*",)
) -> None:
    """Save what is needed for print: no hints, all glyphs or those of `codes`."""
    options = subset.Options(hinting=False, layout_features=list(features), name_IDs=["*"])
    options.notdef_outline = True
    options.glyph_names = False
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=list(codes) or list(font.getBestCmap()))
    subsetter.subset(font)
    # A font's own time stamp would make every run a change.
    font.recalcTimestamp = False
    font.save(TARGET / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
