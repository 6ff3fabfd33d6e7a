"""GIF, BMP and TIFF written by hand, so that layouts exist that Pillow reads but does not write."""

import struct

import numpy as np


def samples(width, height, depth, channels, seed):
    return np.random.RandomState(seed).randint(0, 1 << depth, size=(height, width, channels))


def colours(count, seed=3):
    return bytes(np.random.RandomState(seed).randint(0, 256, size=3 * count).astype(np.uint8))


def ramp(count):
    return bytes(value for index in range(count) for value in (index & 255,) * 3)


def packed(rows, depth):
    """Rows of samples below a byte, most significant first, each row filled up to a byte."""
    out = bytearray()
    for row in rows:
        bits = "".join(format(int(value), f"0{depth}b") for value in np.asarray(row).reshape(-1))
        bits += "0" * (-len(bits) % 8)
        out += bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
    return bytes(out)


# ---- GIF ----

def lzw(indices, bits):
    """GIF's codes, with the table growing to its limit and cleared then."""
    clear, stop = 1 << bits, (1 << bits) + 1
    out, held, count = bytearray(), 0, 0

    def emit(code, size):
        nonlocal held, count
        held |= code << count
        count += size
        while count >= 8:
            out.append(held & 255)
            held >>= 8
            count -= 8

    table, size = {bytes([i]): i for i in range(min(clear, 256))}, bits + 1
    following = stop + 1
    emit(clear, size)
    text = b""
    for index in indices:
        longer = text + bytes([index])
        if longer in table:
            text = longer
            continue
        emit(table[text], size)
        if following < 4096:
            table[longer] = following
            if following == 1 << size and size < 12:
                size += 1
            following += 1
        else:
            emit(clear, size)
            table, size, following = {bytes([i]): i for i in range(min(clear, 256))}, bits + 1, stop + 1
        text = bytes([index])
    if text:
        emit(table[text], size)
    emit(stop, size)
    if count:
        out.append(held & 255)
    return bytes(out)


def blocks(data):
    out = bytearray()
    for i in range(0, len(data), 255):
        out += bytes([len(data[i:i + 255])]) + data[i:i + 255]
    return bytes(out) + b"\0"


def gif(width, height, bits=8, palette=None, local=None, transparent=None, interlaced=False, frame=None, seed=5,
        limit=None, before=b"", code_bits=None, data=None, trailer=b";"):
    """One frame at `frame` (left, top, width, height) of a canvas. Palettes are bytes of 2^bits colours."""
    left, top, across, down = frame or (0, 0, width, height)
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, (0x80 | bits - 1) if palette else 0, 0, 0) + (palette or b"")
    out += before
    if transparent is not None:
        out += b"!\xf9\x04" + struct.pack("<BHBB", 1, 0, transparent, 0)
    flags = (0x80 | bits - 1 if local else 0) | (0x40 if interlaced else 0)
    out += b"," + struct.pack("<HHHHB", left, top, across, down, flags) + (local or b"")
    rows = samples(across, down, bits, 1, seed)[:, :, 0]
    if limit:
        rows = rows % limit
    if interlaced:
        rows = np.concatenate([rows[start::step] for start, step in [(0, 8), (4, 8), (2, 4), (1, 2)]])
    code_bits = code_bits or max(bits, 2)
    body = lzw([int(value) for value in rows.reshape(-1)], code_bits) if data is None else data
    return out + bytes([code_bits]) + blocks(body) + trailer


# ---- BMP ----

def bmp(width, height, bits, palette=None, masks=None, header=40, compression=None, top_down=False, data=None, seed=5,
        used=0, gap=b"", offset=None):
    """Palettes are bytes of three; `masks` makes it BITFIELDS. `header`: 12 (OS/2), 40, 52, 56, 108, 124."""
    entry = 3 if header == 12 else 4
    table = b""
    if palette:
        table = b"".join(palette[i:i + 3][::-1] + b"\0" * (entry - 3) for i in range(0, len(palette), 3))
    compression = (3 if masks else 0) if compression is None else compression
    if header == 12:
        head = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, 0, 2835, 2835,
                           used, 0)
        extra = struct.pack(f"<{len(masks)}I", *masks) if masks else b""
        head = head + extra if header == 40 else (head + extra).ljust(header, b"\0")
    if data is None:
        stride = (width * bits + 31) // 32 * 4
        rng = np.random.RandomState(seed)
        if bits < 8:
            data = b"".join(row.ljust(stride, b"\0") for row in
                            (packed([line], bits) for line in samples(width, height, bits, 1, seed)[:, :, 0]))
        else:
            data = b"".join(bytes(rng.randint(0, 256, width * bits // 8).astype(np.uint8)).ljust(stride, b"\0")
                            for _ in range(height))
    start = 14 + len(head) + len(table) + len(gap)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start if offset is None else offset) + head + table + gap + data


# ---- TIFF ----

BYTE, ASCII, SHORT, LONG, UNDEFINED = 1, 2, 3, 4, 7


def tiff(width, height, data, photometric, bits, count=1, format=1, extra=(), big=False, planar=1, rows=None, tile=None,
         compression=1, orientation=None, palette=None, fill=None, more=(), missing=(), next_page=0):
    """`data`: one bytes object per strip or tile (plane after plane when planar is 2)."""
    e = ">" if big else "<"
    tags = {256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * count), 259: (SHORT, [compression]),
            262: (SHORT, [photometric]), 277: (SHORT, [count]), 284: (SHORT, [planar])}
    if format != 1:
        tags[339] = (SHORT, [format] * count)
    if extra:
        tags[338] = (SHORT, list(extra))
    if orientation:
        tags[274] = (SHORT, [orientation])
    if palette:
        tags[320] = (SHORT, palette)
    if fill:
        tags[266] = (SHORT, [fill])
    if tile:
        tags[322], tags[323] = (LONG, [tile[0]]), (LONG, [tile[1]])
    else:
        tags[278] = (LONG, [rows or height])
    tags.update(dict(more))
    at, positions = 8, []
    body = b""
    for piece in data:
        positions.append(at + len(body))
        body += piece + b"\0" * (len(piece) % 2)
    tags[324 if tile else 273] = (LONG, positions)
    tags[325 if tile else 279] = (LONG, [len(piece) for piece in data])
    for tag in missing:
        del tags[tag]
    directory = at + len(body)
    heap_at = directory + 2 + 12 * len(tags) + 4
    entries, heap = b"", b""
    for tag in sorted(tags):
        kind, values = tags[tag]
        letter = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", UNDEFINED: "B"}[kind]
        raw = struct.pack(f"{e}{len(values)}{letter}", *values)
        if len(raw) > 4:
            entries += struct.pack(f"{e}HHII", tag, kind, len(values), heap_at + len(heap))
            heap += raw + b"\0" * (len(raw) % 2)
        else:
            entries += struct.pack(f"{e}HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    head = (b"MM" + struct.pack(">H", 42) if big else b"II" + struct.pack("<H", 42)) + struct.pack(f"{e}I", directory)
    return head + body + struct.pack(f"{e}H", len(tags)) + entries + struct.pack(f"{e}I", next_page) + heap
