"""Makes a Linux library that names one newer glibc load on an older one: the version it needs is
replaced by one that it needs, too. What it takes from the newer one must be renamed before, by
patchelf.

    python lower_glibc.py LIBRARY GLIBC_2.38 GLIBC_2.2.5
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

NEEDED, STRINGS = 0x6FFFFFFE, 3
"""The kinds of section that hold the versions that are needed, and texts."""


def elf_hash(name: bytes) -> int:
    value = 0
    for letter in name:
        value = (value << 4) + letter
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return value


def lowered(library: bytearray, newer: bytes, older: bytes) -> int:
    """How many needs were replaced."""
    begin = struct.unpack_from("<Q", library, 0x28)[0]
    size, count = struct.unpack_from("<HH", library, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", library, begin + size * n) for n in range(count)]
    (needs,) = [section for section in sections if section[1] == NEEDED]
    texts = sections[needs[6]]
    assert texts[1] == STRINGS

    def text(offset: int) -> bytes:
        start = texts[4] + offset
        return bytes(library[start : library.index(0, start)])

    replaced, known, at = [], 0, needs[4]
    while True:
        _, entries, _, first, following = struct.unpack_from("<HHIII", library, at)
        entry = at + first
        for _ in range(entries):
            _, _, _, name, step = struct.unpack_from("<IHHII", library, entry)
            if text(name) == newer:
                replaced.append(entry)
            elif text(name) == older:
                known = name
            entry += step
        if not following:
            break
        at += following
    for entry in replaced:
        struct.pack_into("<I", library, entry, elf_hash(older))
        struct.pack_into("<I", library, entry + 8, known)
    return len(replaced)


if __name__ == "__main__":
    path, newer, older = Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].encode()
    content = bytearray(path.read_bytes())
    assert lowered(content, newer, older), "it needs no such version"
    path.write_bytes(content)
