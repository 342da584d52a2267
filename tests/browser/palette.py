"""Small pictures: a screenshot in 256 colours, half of the bytes and the same to look at."""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.sync_api import Page

#: The browser decodes and counts colours. Those used most are kept, then whichever would be falsified most.
COUNT = """async (png) => {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const picture = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const { width, height } = picture;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(picture, 0, 0);
  const dots = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const used = new Map();
  for (const dot of dots) used.set(dot, (used.get(dot) ?? 0) + 1);
  const colours = [...used].map(([dot, count]) =>
    ({ dot, count, rgb: [dot & 255, (dot >> 8) & 255, (dot >> 16) & 255], far: Infinity, place: 0 }));
  colours.sort((a, b) => b.count - a.count);
  const palette = [];
  const admit = (chosen) => {
    for (const each of colours) {
      const far = chosen.rgb.reduce((sum, part, index) => sum + (part - each.rgb[index]) ** 2, 0);
      if (far < each.far) { each.far = far; each.place = palette.length; }
    }
    palette.push(chosen.rgb);
  };
  colours.slice(0, 64).forEach(admit);
  while (palette.length < 256) {
    const missed = colours.reduce((worst, each) => (each.far * each.count > worst.far * worst.count ? each : worst));
    if (!missed.far) break;
    admit(missed);
  }
  const nearest = new Map(colours.map((each) => [each.dot, each.place]));
  let text = "";
  for (const dot of dots) text += String.fromCharCode(nearest.get(dot));
  return { width, height, palette: palette.flat(), dots: btoa(text) };
}"""


def smaller(page: Page, png: bytes) -> bytes:
    """The same picture as a PNG with a palette. `page` is an empty page to compute in."""
    told = page.evaluate(COUNT, base64.b64encode(png).decode())
    width, height, dots = told["width"], told["height"], base64.b64decode(told["dots"])
    rows = b"".join(b"\0" + dots[at : at + width] for at in range(0, width * height, width))
    head = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    parts = [(b"IHDR", head), (b"PLTE", bytes(told["palette"])), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, body) for kind, body in parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
