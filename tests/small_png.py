"""A browser's picture as a PNG of 256 colours at most: a third of the bytes for a page of text."""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.sync_api import Page

PIXELS = """async png => {
  const answer = await fetch("data:image/png;base64," + png);
  const picture = await createImageBitmap(await answer.blob());
  const canvas = new OffscreenCanvas(picture.width, picture.height).getContext("2d");
  canvas.drawImage(picture, 0, 0);
  const data = canvas.getImageData(0, 0, picture.width, picture.height).data;
  let text = "";
  for (let at = 0; at < data.length; at += 30000)
    text += String.fromCharCode(...data.subarray(at, at + 30000));
  return [picture.width, picture.height, btoa(text)];
}"""


def small(page: Page, png: bytes) -> bytes:
    """The same picture; colours that differ little become one where there are too many. `page` is a
    blank one, which reads the PNG."""
    width, height, text = page.evaluate(PIXELS, base64.b64encode(png).decode())
    pixels = memoryview(base64.b64decode(text)).cast("I")
    colours = {colour: colour.to_bytes(4, "little")[:3] for colour in set(pixels)}
    for bits in range(8):
        near = {colour: _rounded(rgb, bits) for colour, rgb in colours.items()}
        if len(set(near.values())) <= 256:
            break
    palette = sorted(set(near.values()))
    place = {rgb: number for number, rgb in enumerate(palette)}
    number = {colour: place[rgb] for colour, rgb in near.items()}
    numbers = bytes(number[colour] for colour in pixels)
    rows = (numbers[at : at + width] for at in range(0, width * height, width))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            (b"PLTE", b"".join(palette)),
            (b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 9)),
            (b"IEND", b""),
        )
    )


def _rounded(rgb: bytes, bits: int) -> bytes:
    """To multiples of 2 ** bits; white stays white."""
    half = 1 << bits >> 1
    return bytes(255 if part == 255 else min(255, (part + half) >> bits << bits) for part in rgb)
