"""Files of the formats beside JPEG, PNG and WebP, in as many layouts as their readers tell apart."""

import io
import zlib

import numpy as np
from PIL import Image

from image_writers import LONG, SHORT, blocks, bmp, colours, gif, lzw, packed, ramp, samples, tiff

W, H = 13, 9


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gif_files():
    made = {}
    for bits in (1, 2, 4, 5, 8):
        made[f"palette{bits}.gif"] = gif(W, H, bits, colours(1 << bits))
        made[f"palette{bits}_clear.gif"] = gif(W, H, bits, colours(1 << bits), transparent=1)
    made["interlaced.gif"] = gif(W, 21, 8, colours(256), interlaced=True)
    made["interlaced_low.gif"] = gif(5, 3, 8, colours(256), interlaced=True)
    made["grey_ramp.gif"] = gif(W, H, 8, ramp(256))
    made["grey_ramp_clear.gif"] = gif(W, H, 8, ramp(256), transparent=7)
    made["no_palette.gif"] = gif(W, H, 8)
    made["no_palette_clear.gif"] = gif(W, H, 4, transparent=3)
    made["own_palette.gif"] = gif(W, H, 4, colours(16), local=colours(16, 9))
    made["own_ramp.gif"] = gif(W, H, 4, colours(16), local=ramp(16))
    made["part.gif"] = gif(20, 15, 8, colours(256), frame=(3, 2, 9, 8))
    made["part_clear.gif"] = gif(20, 15, 8, colours(256), frame=(3, 2, 9, 8), transparent=200)
    made["beyond_canvas.gif"] = gif(10, 8, 8, colours(256), frame=(5, 4, 9, 8), transparent=4)
    made["no_canvas.gif"] = gif(0, 0, 8, colours(256), frame=(0, 0, 9, 8))
    indices = [int(x) for x in np.random.RandomState(1).randint(0, 256, W * H)]
    made["past_palette.gif"] = gif(W, H, 4, colours(16), code_bits=8, data=lzw(indices, 8))
    made["full_table.gif"] = gif(120, 90, 8, colours(256))
    made["long_runs.gif"] = gif(200, 150, 8, colours(256), limit=2)
    made["extensions.gif"] = gif(
        W, H, 4, colours(16), transparent=2,
        before=b"!\xfe" + blocks(b"comment" * 60) + b"!\xf9\x04\x01\0\0\x05\0" + b"\0xyz")
    made["two_frames.gif"] = gif(W, H, 4, colours(16), trailer=b"") + gif(W, H, 4, colours(16), seed=8)[13 + 48:]
    made["no_trailer.gif"] = gif(W, H, 4, colours(16), trailer=b"")
    frames = [Image.fromarray(samples(11, 14, 8, 4, seed).astype(np.uint8), "RGBA") for seed in range(2)]
    made["animated.gif"] = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    return made


def bmp_files():
    made = {}
    for bits in (1, 4, 8):
        made[f"palette{bits}.bmp"] = bmp(W, H, bits, colours(1 << bits))
    made["palette4_os2.bmp"] = bmp(W, H, 4, colours(16), header=12)
    made["palette8_down.bmp"] = bmp(W, H, 8, colours(256), top_down=True)
    made["grey8.bmp"] = bmp(W, H, 8, ramp(256))
    made["black_white.bmp"] = bmp(W, H, 1, b"\0\0\0\xff\xff\xff")
    made["white_black.bmp"] = bmp(W, H, 1, b"\xff\xff\xff\0\0\0")
    made["palette8_100.bmp"] = bmp(W, H, 8, colours(100), used=100)
    made["grey16_of_8.bmp"] = bmp(W, H, 8, ramp(16), used=16)
    for bits in (16, 24, 32):
        made[f"rgb{bits}.bmp"] = bmp(W, H, bits)
    made["rgb24_down.bmp"] = bmp(W, H, 24, top_down=True)
    made["rgb24_os2.bmp"] = bmp(W, H, 24, header=12)
    made["rgb16_565.bmp"] = bmp(W, H, 16, masks=(0xF800, 0x7E0, 0x1F))
    made["rgb16_555_v5.bmp"] = bmp(W, H, 16, masks=(0x7C00, 0x3E0, 0x1F), header=124)
    made["rgb24_masks.bmp"] = bmp(W, H, 24, masks=(0xFF0000, 0xFF00, 0xFF))
    made["xbgr.bmp"] = bmp(W, H, 32, masks=(0xFF000000, 0xFF0000, 0xFF00))
    made["bgxr_v2.bmp"] = bmp(W, H, 32, masks=(0xFF000000, 0xFF00, 0xFF), header=52)
    made["rgba.bmp"] = bmp(W, H, 32, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000), header=56)
    made["bgra_v4.bmp"] = bmp(W, H, 32, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=108)
    made["abgr_v5.bmp"] = bmp(W, H, 32, masks=(0xFF000000, 0xFF0000, 0xFF00, 0xFF), header=124)
    made["bgar_v5.bmp"] = bmp(W, H, 32, masks=(0xFF000000, 0xFF00, 0xFF, 0xFF0000), header=124)
    made["zero_masks.bmp"] = bmp(W, H, 32, masks=(0, 0, 0))
    made["no_offset.bmp"] = bmp(W, H, 24, offset=0)
    made["offset_at_palette.bmp"] = bmp(W, H, 8, colours(256), offset=54)
    made["gap.bmp"] = bmp(W, H, 24, gap=b"abcdef")
    rle8 = bytes([5, 7, 0, 3, 1, 2, 3, 0, 5, 9, 0, 0, 13, 4, 0, 0, 0, 2, 3, 2, 10, 5, 0, 0, 255, 6, 0, 0]
                 + [13, 8, 0, 0] * 8 + [0, 1])
    made["rle8.bmp"] = bmp(W, H, 8, colours(256), compression=1, data=rle8)
    made["rle8_down.bmp"] = bmp(W, H, 8, colours(256), compression=1, data=rle8, top_down=True)
    rle4 = bytes([5, 0x7A, 0, 3, 0x12, 0x30, 5, 0x9B, 0, 0]
                 + [0, 5, 0x12, 0x34, 0x50, 0, 8, 0x4C, 0, 0] * 8 + [0, 1])
    made["rle4.bmp"] = bmp(W, H, 4, colours(16), compression=2, data=rle4)
    return made


def tiff_layouts():
    """What the samples may be; half of the files in each byte order."""
    made = {}
    table = [int(x) * 257 for x in np.random.RandomState(2).randint(0, 256, 3 * 256)]

    def add(name, data, photometric, bits, count=1, **options):
        big = len(made) % 2 == 1
        piece = data if isinstance(data, bytes) else data.astype((">" if big else "<") + data.dtype.str[1:]).tobytes()
        made[name + ".tif"] = tiff(W, H, [piece], photometric, bits, count, big=big, **options)

    def random(depth, channels=1, kind="u1"):
        return samples(W, H, depth, channels, 5).astype(kind)

    for bits in (1, 2, 4):
        for photometric, name in [(0, "white"), (1, "black")]:
            add(f"grey{bits}_{name}", packed(random(bits)[:, :, 0], bits), photometric, bits)
        add(f"palette{bits}", packed(random(bits)[:, :, 0], bits), 3, bits,
            palette=table[:1 << bits] * 3 if bits == 1 else table[:3 << bits])
    add("grey8_white", random(8), 0, 8)
    add("grey8_black", random(8), 1, 8)
    add("grey8_signed", random(8), 1, 8, format=2)
    add("grey16", random(9, kind="u2"), 1, 16)
    add("grey16_again", random(9, kind="u2"), 1, 16)
    add("grey16_signed", (random(9, kind="i2") - 100).astype("i2"), 1, 16, format=2)
    add("grey32_signed", (random(9, kind="i4") - 100).astype("i4"), 1, 32, format=2)
    add("float32", ((random(8, kind="f4") - 50) * 1.7).astype("f4"), 1, 32, format=3)
    add("float32_again", ((random(8, kind="f4") - 50) * 1.7).astype("f4"), 1, 32, format=3)
    for kinds in [(0,), (2,)]:
        add(f"grey_extra{kinds[0]}", random(8, 2), 1, 8, 2, extra=kinds)
        add(f"palette_extra{kinds[0]}", random(8, 2), 3, 8, 2, extra=kinds, palette=table)
    for kinds in [(), (0,), (1,), (2,), (999,), (0, 0), (1, 0), (2, 0, 0)]:
        name = "_".join(map(str, kinds)) or "none"
        add(f"rgb_extra_{name}", random(8, max(4, 3 + len(kinds))), 2, 8, max(4, 3 + len(kinds)), extra=kinds)
    for kinds in [(0,), (1,), (2,)]:
        add(f"rgb16_extra_{kinds[0]}", random(16, 4, "u2"), 2, 16, 4, extra=kinds)
    add("rgb8", random(8, 3), 2, 8, 3)
    add("rgb16", random(16, 3, "u2"), 2, 16, 3)
    add("palette8", random(8), 3, 8, palette=table)
    add("cmyk", random(8, 4), 5, 8, 4)
    add("cmyk_extra", random(8, 5), 5, 8, 5, extra=(0,))
    add("cmyk16", random(16, 4, "u2"), 5, 16, 4)
    add("no_photometric", random(8), 1, 8, missing=(262,))
    add("reversed_bits", packed(random(1)[:, :, 0], 1), 1, 1, fill=2)
    return made


def tiff_files(scene):
    made = tiff_layouts()
    pixels = samples(40, 35, 8, 3, 4).astype(np.uint8)
    padded = np.zeros((48, 48, 3), np.uint8)
    padded[:35, :40] = pixels
    tiles = [padded[y:y + 16, x:x + 16] for y in (0, 16, 32) for x in (0, 16, 32)]
    made["tiles.tif"] = tiff(40, 35, [t.tobytes() for t in tiles], 2, 8, 3, tile=(16, 16))
    made["tiles_planes.tif"] = tiff(
        40, 35, [zlib.compress(t[:, :, c].tobytes()) for c in range(3) for t in tiles], 2, 8, 3, tile=(16, 16), planar=2,
        compression=8)
    made["strips.tif"] = tiff(40, 35, [pixels[y:y + 4].tobytes() for y in range(0, 35, 4)], 2, 8, 3, rows=4)
    four = samples(W, H, 8, 4, 5).astype(np.uint8)
    made["planes_alpha.tif"] = tiff(W, H, [four[:, :, c].tobytes() for c in range(4)], 2, 8, 4, extra=(2,), planar=2)
    made["planes_cmyk.tif"] = tiff(W, H, [four[:, :, c].tobytes() for c in range(4)], 5, 8, 4, planar=2, big=True)
    for orientation in (2, 3, 5, 6, 9):
        made[f"orientation{orientation}.tif"] = tiff(W, H, [four[:, :, :3].tobytes()], 2, 8, 3, orientation=orientation)
    made["bigtiff.tif"] = saved(scene(37, 29), "TIFF", big_tiff=True)
    photo = scene(37, 29)
    made["lzw.tif"] = saved(photo, "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    made["deflate.tif"] = saved(photo.convert("RGBA"), "TIFF", compression="tiff_adobe_deflate")
    made["packbits.tif"] = saved(photo.convert("L"), "TIFF", compression="packbits")
    made["zstd.tif"] = saved(photo, "TIFF", compression="zstd")
    made["lzma.tif"] = saved(photo, "TIFF", compression="lzma")
    made["group4.tif"] = saved(photo.convert("1"), "TIFF", compression="group4")
    made["jpeg.tif"] = saved(photo, "TIFF", compression="jpeg")
    made["jpeg_grey.tif"] = saved(photo.convert("L"), "TIFF", compression="jpeg")
    made["jpeg_cmyk.tif"] = saved(photo.convert("CMYK"), "TIFF", compression="jpeg")
    made["ycbcr_lzw.tif"] = saved(photo.convert("YCbCr"), "TIFF", compression="tiff_lzw")
    made["pages.tif"] = saved(photo, "TIFF", save_all=True, append_images=[photo.rotate(90)], compression="tiff_lzw")
    return made


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def clear(scene, width, height):
    image = scene(width, height)
    alpha = Image.new("L", image.size)
    alpha.putdata([(i * 11) % 256 for i in range(width * height)])
    image.putalpha(alpha)
    return image


def avif_files(scene):
    made = {}
    for subsampling in ("4:4:4", "4:2:2", "4:2:0", "4:0:0"):
        name = subsampling.replace(":", "")
        made[f"{name}.avif"] = saved(scene(37, 29), "AVIF", subsampling=subsampling, quality=70)
    made["limited.avif"] = saved(scene(37, 29), "AVIF", range="limited")
    made["alpha.avif"] = saved(clear(scene, 37, 29), "AVIF")
    made["premultiplied.avif"] = saved(clear(scene, 37, 29), "AVIF", alpha_premultiplied=True)
    for orientation in range(2, 9):
        made[f"turned{orientation}.avif"] = saved(scene(19, 11), "AVIF", exif=exif(orientation))
    made["animated.avif"] = saved(scene(37, 29), "AVIF", save_all=True, append_images=[scene(37, 29).rotate(90)])
    return made


def heic_files(scene):
    """Needs pillow-heif, whose encoder and decoder these are."""
    made = {}
    for chroma in (420, 422, 444):
        made[f"{chroma}.heic"] = saved(scene(64, 48), "HEIF", quality=80, chroma=chroma)
    made["odd.heic"] = saved(scene(37, 29), "HEIF", quality=80)
    made["grey.heic"] = saved(scene(64, 48).convert("L"), "HEIF", quality=80)
    made["alpha.heic"] = saved(clear(scene, 64, 48), "HEIF", quality=80)
    for orientation in (3, 5, 6):
        made[f"turned{orientation}.heic"] = saved(scene(40, 24), "HEIF", quality=80, exif=exif(orientation).tobytes())
    return made


def transparent_png_files(png, chunk, palette):
    """tRNS in every place: a key of grey and colour at each depth, and of a palette."""
    made = {}
    for depth in (1, 2, 4, 8, 16):
        for key in (0, 1, (1 << depth) - 1):
            made[f"key{depth}_{key}.png"] = png(
                W, H, depth, 0, extra=chunk(b"tRNS", key.to_bytes(2, "big")), limit=300 if depth == 16 else None)
    made["key_low_byte.png"] = png(W, H, 8, 0, extra=chunk(b"tRNS", b"\x05\x40"))
    first = np.random.RandomState(7).randint(0, 256, size=(H, W, 3))[0, 0]
    made["key_rgb.png"] = png(W, H, 8, 2, extra=chunk(b"tRNS", b"".join(bytes([0, int(v)]) for v in first)))
    made["key_rgb16.png"] = png(W, H, 16, 2, extra=chunk(b"tRNS", b"\0\1\0\2\0\3"))
    made["palette4_trns.png"] = png(W, H, 4, 3, extra=palette(16) + chunk(b"tRNS", bytes([0, 128, 255])))
    made["palette1_trns.png"] = png(W, H, 1, 3, extra=palette(2) + chunk(b"tRNS", b"\xff\0"))
    return made


# Read by Pillow and refused here by name, or the other way round; the tests say which.
def refused_files():
    four = samples(W, H, 8, 4, 5).astype(np.uint8)
    return {
        "lab.tif": tiff(W, H, [four[:, :, :3].tobytes()], 8, 8, 3),
        "ycbcr_plain.tif": tiff(W, H, [four[:, :, :3].tobytes()], 6, 8, 3, more={530: (SHORT, [1, 1])}),
        "grey12.tif": tiff(W, H, [packed(samples(W, H, 12, 1, 5)[:, :, 0], 12)], 1, 12),
        "grey16_white.tif": tiff(W, H, [samples(W, H, 16, 1, 5).astype("<u2").tobytes()], 0, 16),
        "float64.tif": tiff(W, H, [samples(W, H, 8, 1, 5).astype("<f8").tobytes()], 1, 64, format=3),
        "alpha_in_colour.tif": tiff(W, H, [four[:, :, :2].tobytes()], 1, 8, 2, extra=(1,)),
        "long_size.tif": tiff(100_000, 100_000, [b"x" * 100], 2, 8, 3),
        "odd_masks.bmp": bmp(W, H, 32, masks=(1, 2, 4, 8), header=56),
        "two_bits.bmp": bmp(W, H, 2, colours(4)),
        "jpeg_inside.bmp": bmp(W, H, 24, compression=4),
    }
