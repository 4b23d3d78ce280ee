"""A CSV file as the byte stream that COPY takes: line number, fault, moment, then the cells.

A million rows must cost Python little, so what is plain goes through in blocks, checked by
operations that run in C. Blocks with a quote, a stray byte or a ragged line are read row by row.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import BinaryIO

from payment_service.seeding import header
from payment_service.seeding.dates import Moments
from payment_service.seeding.errors import SeedError

BLOCK = 1 << 20
"""Bytes read at once."""
LONGEST_LINE = 1 << 20
"""Bytes. A file with longer ones is no CSV of payments, and might have no line end at all."""

_BOM = b"\xef\xbb\xbf"
# What may stand in a cell as it is: no comma, line end, quote, NUL, nor COPY's escape, backslash.
_PLAIN = bytes(set(range(256)) - set(b',\n\r"\0\\'))
_ESCAPED = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r", ",": r"\,"})


class CopyStream:
    """Reads `file` once, from its header on; `read` gives lines for COPY in text format.

    Each has the number of the line on which its row starts, the fault that was seen here (empty
    if none), the moment in ISO form if `moments` had to read it, and `header.width` cells. A faulty
    row comes too: with its cells padded, or the surplus joined into the last; bytes that are no
    UTF-8, and NUL, as \\xNN. Blank lines are passed over.

    `rows` counts what was given. psycopg2 replaces what is raised inside `read`, so `failure`
    keeps it.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        moments: Moments,
        advance: Callable[[int], object] = lambda count: None,
    ) -> None:
        self.rows = 0
        self.failure: BaseException | None = None
        self._moments = moments
        self._advance = advance
        self._blocks = self._read_blocks(file)
        self._line = 1
        first = next(self._blocks, b"")
        line, _, rest = first.partition(b"\n")
        if not first.removeprefix(_BOM).strip():
            raise SeedError("the file is empty; its first line must be a header")
        self.header = header.parse(line)
        self._line = 2
        self._output = self._convert(rest)

    def read(self, size: int = -1) -> bytes:
        """The next lines for COPY, as many as there are in a block; b"" at the end."""
        try:
            return next(self._output, b"")
        except BaseException as error:
            self.failure = error
            raise

    def _read_blocks(self, file: BinaryIO) -> Iterator[bytes]:
        """The file in blocks that end with a line end."""
        carried = b""
        while read := file.read(BLOCK):
            self._advance(len(read))
            block = carried + read
            cut = block.rfind(b"\n") + 1
            if cut:
                yield block[:cut]
            carried = block[cut:]
            if len(carried) > LONGEST_LINE:
                raise SeedError(f"a line has over {LONGEST_LINE} bytes: this is no CSV of payments")
        if carried:
            yield carried + b"\n"

    def _convert(self, first: bytes) -> Iterator[bytes]:
        block: bytes | None = first
        while block is not None:
            plain = self._bare(block)
            converted = self._row_by_row(block) if plain is None else self._plain(plain)
            if converted:
                yield converted
            block = next(self._blocks, None)

    def _bare(self, block: bytes) -> bytes | None:
        """The lines as bare cells and commas; None if one of them needs a closer look.

        Either no cell is quoted or all are; then quotes stand at the edges of cells only.
        """
        block = block.replace(b"\r\n", b"\n")
        lines, commas = block.count(b"\n"), self.header.width - 1
        marks = block.translate(None, _PLAIN)
        if marks == (b'"",' * commas + b'""\n') * lines:
            between = block.count(b'","') == commas * lines and block.count(b'"\n"') == lines - 1
            if not (between and block[:1] == b'"' and block[-2:] == b'"\n'):
                return None
            block = block.replace(b'"', b"")
        elif marks != (b"," * commas + b"\n") * lines:
            return None
        return block if block.isascii() or _decodes(block) else None

    def _plain(self, block: bytes) -> bytes:
        lines = block.split(b"\n")
        lines.pop()
        numbers = range(self._line, self._line + len(lines))
        self._line += len(lines)
        self.rows += len(lines)
        place = self.header.places["created_at"]
        cells = [line.split(b",")[place].decode() for line in lines]
        if self._moments.stand(cells):
            return b"".join(map(b"%d,,,%b\n".__mod__, zip(numbers, lines, strict=True)))
        moments = [self._moments.read(cell).encode() for cell in cells]
        return b"".join(map(b"%d,,%b,%b\n".__mod__, zip(numbers, moments, lines, strict=True)))

    def _row_by_row(self, block: bytes) -> bytes:
        """The rows of `block`, and of those after it that its last row runs into."""
        pending = deque(_lines(block))
        taken: list[str] = []

        def feed() -> Iterator[str]:
            while True:
                while pending:
                    taken.append(pending.popleft())
                    yield taken[-1]
                following = next(self._blocks, None)
                if following is None:
                    return
                pending.extend(_lines(following))

        rows = []
        reader = csv.reader(feed(), strict=True)
        while pending:
            taken.clear()
            try:
                cells, fault = next(reader), ""
            except csv.Error as error:
                # A quote that is never closed swallows what follows: only its first line is bad.
                cells, fault = [taken[0].rstrip("\r\n")], f"not readable as CSV: {error}"
                pending.extendleft(reversed(taken[1:]))
                del taken[1:]
                reader = csv.reader(feed(), strict=True)
            if text := "".join(taken).strip():
                rows.append(self._row(cells, fault, text))
            self._line += len(taken)
        self.rows += len(rows)
        return b"".join(rows)

    def _row(self, cells: list[str], fault: str, text: str) -> bytes:
        fault = self._unreadable(text) or fault or self._ragged(cells)
        width = self.header.width
        cells = [*cells[: width - 1], ",".join(cells[width - 1 :])]
        cells += [""] * (width - len(cells))
        moment = self._moments.read(cells[self.header.places["created_at"]])
        row = ",".join((fault, moment, *cells))
        if row.count(",") > width + 1 or "\\" in row or not row.isprintable():
            row = ",".join(_shown(cell).translate(_ESCAPED) for cell in (fault, moment, *cells))
        return f"{self._line},{row}\n".encode()

    def _ragged(self, cells: list[str]) -> str:
        if len(cells) == self.header.width:
            return ""
        return f"{len(cells)} columns where the header has {self.header.width}"

    @staticmethod
    def _unreadable(text: str) -> str:
        if "\0" in text:
            return "a NUL byte"
        return "" if text.isascii() or _encodes(text) else "not UTF-8"


def _lines(block: bytes) -> list[str]:
    """Lines with their ends; bytes that are no UTF-8 survive as lone surrogates."""
    lines = block.decode("utf-8", "surrogateescape").split("\n")
    return [f"{line}\n" for line in lines[:-1]]


def _decodes(block: bytes) -> bool:
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    """`text` with what PostgreSQL can't hold written as \\xNN."""
    if "\0" not in text and (text.isascii() or _encodes(text)):
        return text
    raw = text.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace").replace("\0", r"\x00")
