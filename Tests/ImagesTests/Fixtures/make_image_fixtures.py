#!/usr/bin/env python3
"""Image files of every kind, and what Pillow and transformers make of them.

    python make_image_fixtures.py            # files/ and fixtures.json, from nothing but this script
    python make_image_fixtures.py SHARED     # also photos.json: digests of the photos under SHARED/data

Needs Pillow, transformers and pillow-heif. Deterministic for given library versions, which are recorded in the outputs. Digests are FNV-1a (64 bit) of the bytes.
"""

import base64
import io
import json
import pathlib
import struct
import sys
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps, features

sys.modules["torchvision"] = None  # the Pillow-backed processor needs none, and a mismatched one fails to import
import pillow_heif
import transformers
from transformers.image_transforms import convert_to_rgb
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from format_files import (
    avif_files, bmp_files, gif_files, heic_files, refused_files, tiff_files, transparent_png_files)

warnings.simplefilter("ignore", DeprecationWarning)
pillow_heif.register_heif_opener()
here = pathlib.Path(__file__).parent
files = here / "files"
VERSIONS = {
    "pillow": PIL.__version__,
    "libjpeg_turbo": features.version("libjpeg_turbo"),
    "webp": features.version("webp"),
    "libtiff": features.version("libtiff"),
    "avif": features.version("avif"),
    "pillow_heif": pillow_heif.__version__,
    "libheif": pillow_heif.libheif_version(),
    "transformers": transformers.__version__,
    "numpy": np.__version__,
}


def fnv(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def fast_fnv(data):
    """FNV-1a over 8-byte little-endian words (zero-padded), the length first: quick enough for whole photos."""
    data = bytes(data)
    value = ((0xCBF29CE484222325 ^ len(data)) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    data += b"\0" * (-len(data) % 8)
    for (word,) in struct.iter_unpack("<Q", data):
        value = ((value ^ word) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def synthetic(width, height, seed=1):
    """Pixels that the Swift tests make again: a linear congruential generator, smoothed by nothing."""
    state = seed
    out = bytearray(width * height * 3)
    for i in range(len(out)):
        state = (state * 6364136223846793005 + 1442695040888963407) & 0xFFFFFFFFFFFFFFFF
        out[i] = state >> 56
    return Image.frombytes("RGB", (width, height), bytes(out))


def scene(width, height):
    """Gradients, an edge and some texture: what lossy codecs are made for."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    r = 255 * x / max(width - 1, 1)
    g = 255 * y / max(height - 1, 1)
    b = 127 + 120 * np.sin(x / 3.0) * np.cos(y / 2.0)
    edge = (x + 2 * y) > width
    image = np.stack([np.where(edge, 255 - r, r), g, np.where(edge, b, 255 - b)], axis=-1)
    return Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8), "RGB")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def png(width, height, depth, colour, extra=b"", interlaced=False, seed=7, limit=None, after=b""):
    """A PNG of random samples, written by hand so that every depth, colour type and interlacing exists."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    rng = np.random.RandomState(seed)
    samples = rng.randint(0, min(1 << depth, limit or 1 << depth), size=(height, width, channels))

    def pack(block):
        rows = b""
        for row in block.reshape(block.shape[0], -1):
            if depth == 16:
                line = row.astype(">u2").tobytes()
            else:
                bits = "".join(f"{v:0{depth}b}" for v in row)
                bits += "0" * (-len(bits) % 8)
                line = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
            rows += b"\0" + line
        return rows

    if interlaced:
        raw = b""
        for x0, y0, dx, dy in ADAM7:
            block = samples[y0::dy, x0::dx]
            if block.size:
                raw += pack(block)
    else:
        raw = pack(samples)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + after
        + chunk(b"IEND", b"")
    )


def palette(entries, seed=3):
    return chunk(b"PLTE", np.random.RandomState(seed).bytes(3 * entries))


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def big_endian_tiff(orientation):
    return b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)


def saved(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def jpeg_insert(data, marker, payload):
    """A marker segment directly after the start of the image."""
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload + data[2:]


def ycck(image):
    """A YCCK JPEG: the ink channels' data are the same bytes, the Adobe marker says how to read them."""
    data = saved(image.convert("CMYK"), "JPEG", quality=95)
    at = data.index(b"Adobe")
    return data[: at + 11] + b"\x02" + data[at + 12 :]


def resampled_chroma(image, factors):
    """A JPEG whose luminance sampling factors are rewritten (0x12: 4:4:0, 0x41: 4:1:1), which Pillow cannot write: as
    many blocks per MCU in the same order, so the data of a 4:2:2 or 4:2:0 file of other dimensions stay readable."""
    wide, tall = factors >> 4, factors & 15
    subsampling = 1 if wide * tall == 2 else 2
    across, down = (2, 1) if subsampling == 1 else (2, 2)
    # The same number of MCUs per row and column, each of the other shape.
    columns, rows = image.width // (8 * wide), image.height // (8 * tall)
    source = image.resize((columns * 8 * across, rows * 8 * down))
    data = bytearray(saved(source, "JPEG", quality=60, subsampling=subsampling))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", rows * 8 * tall, columns * 8 * wide)
    data[at + 11] = factors
    return bytes(data)


def make_files():
    made = {}
    photo = scene(37, 29)
    made["grey.jpg"] = saved(photo.convert("L"), "JPEG", quality=88)
    made["420.jpg"] = saved(photo, "JPEG", quality=90, subsampling=2)
    made["422.jpg"] = saved(photo, "JPEG", quality=90, subsampling=1)
    made["444.jpg"] = saved(photo, "JPEG", quality=90, subsampling=0)
    made["rgb.jpg"] = saved(photo, "JPEG", quality=90, keep_rgb=True)
    made["progressive_420.jpg"] = saved(photo, "JPEG", quality=85, progressive=True, subsampling=2)
    made["progressive_grey.jpg"] = saved(photo.convert("L"), "JPEG", quality=85, progressive=True)
    made["restart.jpg"] = saved(photo, "JPEG", quality=80, restart_marker_blocks=2)
    made["optimized.jpg"] = saved(photo, "JPEG", quality=30, optimize=True)
    made["cmyk.jpg"] = saved(photo.convert("CMYK"), "JPEG", quality=92)
    made["ycck.jpg"] = ycck(photo)
    for width, height in [(1, 1), (1, 7), (9, 1), (8, 8), (16, 17), (65, 33)]:
        made[f"odd_{width}x{height}.jpg"] = saved(scene(width, height), "JPEG", quality=91)
    for orientation in range(1, 9):
        made[f"exif{orientation}.jpg"] = saved(scene(19, 11), "JPEG", quality=90, exif=exif(orientation))
    made["exif9.jpg"] = saved(scene(19, 11), "JPEG", quality=90, exif=exif(9))
    made["exif_big_endian6.jpg"] = jpeg_insert(
        saved(scene(19, 11), "JPEG", quality=90), 0xE1, b"Exif\0\0" + big_endian_tiff(6))
    made["xmp8.jpg"] = saved(
        scene(19, 11), "JPEG", quality=90, xmp=b'<x:xmpmeta><rdf:Description tiff:Orientation="8"/></x:xmpmeta>')
    made["trailing_bytes.jpg"] = saved(photo, "JPEG", quality=90) + b"after the end" * 20

    # Larger than a decoding window with its margins.
    wide = scene(250, 190)
    for name, subsampling in [("420", 2), ("422", 1), ("444", 0)]:
        made[f"window_{name}.jpg"] = saved(wide, "JPEG", quality=60, subsampling=subsampling)
    made["window_440.jpg"] = resampled_chroma(wide, 0x12)
    made["window_411.jpg"] = resampled_chroma(wide, 0x41)
    made["window_grey.jpg"] = saved(wide.convert("L"), "JPEG", quality=60)
    made["window_progressive.jpg"] = saved(wide, "JPEG", quality=60, progressive=True)
    made["window_restart.jpg"] = saved(wide, "JPEG", quality=60, restart_marker_blocks=5)

    for depth in (1, 2, 4, 8, 16):
        made[f"grey{depth}.png"] = png(13, 9, depth, 0)
        made[f"grey{depth}_interlaced.png"] = png(13, 9, depth, 0, interlaced=True)
    made["grey16_dark.png"] = png(13, 9, 16, 0, limit=300)
    made["grey8_trns.png"] = png(13, 9, 8, 0, extra=chunk(b"tRNS", b"\0\x40"))
    for depth in (8, 16):
        made[f"rgb{depth}.png"] = png(13, 9, depth, 2)
        made[f"rgb{depth}_interlaced.png"] = png(13, 9, depth, 2, interlaced=True)
        made[f"grey_alpha{depth}.png"] = png(13, 9, depth, 4)
        made[f"rgba{depth}.png"] = png(13, 9, depth, 6)
        made[f"rgba{depth}_interlaced.png"] = png(13, 9, depth, 6, interlaced=True)
    made["rgb8_trns.png"] = png(13, 9, 8, 2, extra=chunk(b"tRNS", b"\0\x01\0\x02\0\x03"))
    for depth in (1, 2, 4, 8):
        made[f"palette{depth}.png"] = png(13, 9, depth, 3, extra=palette(1 << depth))
    made["palette8_interlaced.png"] = png(13, 9, 8, 3, extra=palette(256), interlaced=True)
    made["palette8_trns.png"] = png(13, 9, 8, 3, extra=palette(256) + chunk(b"tRNS", bytes(range(256))))
    made["palette8_short.png"] = png(13, 9, 8, 3, extra=palette(100))
    made["one_pixel.png"] = png(1, 1, 8, 2)
    made["exif6.png"] = png(13, 9, 8, 2, extra=chunk(b"eXIf", big_endian_tiff(6)))
    made["exif3_after.png"] = png(13, 9, 8, 2, after=chunk(b"eXIf", big_endian_tiff(3)))
    made["xmp5.png"] = png(13, 9, 8, 2, extra=chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>5</tiff:Orientation>"))

    small = scene(23, 17)
    alpha = Image.new("L", small.size)
    alpha.putdata([(i * 11) % 256 for i in range(small.width * small.height)])
    clear = small.copy()
    clear.putalpha(alpha)
    made["lossy.webp"] = saved(small, "WEBP", quality=80)
    made["lossy_odd.webp"] = saved(scene(31, 15), "WEBP", quality=40)
    made["lossless.webp"] = saved(small, "WEBP", lossless=True)
    made["lossy_alpha.webp"] = saved(clear, "WEBP", quality=80, exact=True)
    made["lossless_alpha.webp"] = saved(clear, "WEBP", lossless=True, exact=True)
    made["exif8.webp"] = saved(small, "WEBP", quality=80, exif=exif(8))
    made["xmp6.webp"] = saved(
        small, "WEBP", quality=80, xmp=b'<rdf:Description tiff:Orientation="6"/>')
    frames = [scene(21, 14), synthetic(21, 14, 5)]
    made["animated.webp"] = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    clear_frames = [clear, clear.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    made["animated_alpha.webp"] = saved(
        clear_frames[0], "WEBP", save_all=True, append_images=clear_frames[1:], lossless=True, exact=True)
    made.update(transparent_png_files(png, chunk, palette))
    made.update(gif_files())
    made.update(bmp_files())
    made.update(tiff_files(scene))
    made.update(avif_files(scene))
    made.update(heic_files(scene))
    return made


def decoded(data):
    return Image.open(io.BytesIO(data)).convert("RGB")


def on_white(image):
    """What transformers' image processors make of it."""
    return convert_to_rgb(image, return_numpy=True)


def stride(image):
    return 1 if image.width * image.height < 1100 else 131


def decode_cases():
    cases = []
    for name, data in make_files().items():
        (files / name).write_bytes(data)
        stored = decoded(data)
        turned = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
        upright = turned.convert("RGB")
        cases.append({
            "file": name, "width": stored.width, "height": stored.height,
            # Small ones in full, so that a difference can be measured; of larger ones, every 131st byte.
            "pixels": base64.b64encode(stored.tobytes()[:: stride(stored)]).decode(), "stride": stride(stored),
            "upright_width": upright.width, "upright_height": upright.height, "upright": fnv(upright.tobytes()),
            "white": fnv(on_white(turned).tobytes()),
        })
    for name, data in refused_files().items():
        (here / "refused" / name).write_bytes(data)
    return cases


def prefix_cases():
    """Of which lengths does Pillow decode a file's beginning? All from the first listed on, none below."""
    cases = []
    for name in ["grey.jpg", "420.jpg", "444.jpg", "progressive_420.jpg", "restart.jpg", "cmyk.jpg", "rgb8.png",
                 "grey1_interlaced.png", "palette8.png", "lossy.webp", "lossless.webp", "lossy_alpha.webp",
                 "animated.webp", "palette4.gif", "part_clear.gif", "palette4.bmp", "rgb24.bmp", "rle8.bmp", "deflate.tif"]:
        data = (files / name).read_bytes()
        shortest = len(data)
        while shortest > 0:
            try:
                decoded(data[: shortest - 1])
            except (OSError, SyntaxError, EOFError, ValueError, TypeError):
                break
            shortest -= 1
        cases.append([name, len(data), shortest])
    return cases


def draft_cases():
    """JPEG decoded at a reduced scale: Pillow's draft."""
    cases = []
    data = saved(scene(203, 157), "JPEG", quality=90)
    (files / "large.jpg").write_bytes(data)
    for width, height in [(203, 157), (102, 79), (101, 78), (101, 20), (50, 39), (51, 39), (25, 19), (26, 20), (1, 1)]:
        image = Image.open(io.BytesIO(data))
        image.draft("RGB", (width, height))
        image = image.convert("RGB")
        cases.append({
            "least_width": width, "least_height": height, "width": image.width, "height": image.height,
            "pixels": fnv(image.tobytes()),
        })
    return cases


def resize_cases():
    sizes = [
        ((37, 23), [(37, 23), (19, 11), (18, 12), (1, 1), (61, 47), (37, 9), (9, 23), (74, 46), (36, 22), (38, 24),
                    (5, 90), (90, 5), (111, 3)]),
        ((1, 1), [(1, 1), (7, 5), (2, 1)]),
        ((2, 3), [(3, 2), (16, 25), (1, 3)]),
        ((3, 100), [(2, 9), (7, 224)]),
        ((301, 2), [(11, 1), (224, 3), (64, 64)]),
        ((160, 120), [(149, 112), (112, 84), (33, 31), (32, 24), (224, 168), (16, 200)]),
        ((97, 211), [(96, 208), (64, 65), (23, 50)]),
    ]
    cases = []
    for source, targets in sizes:
        image = synthetic(*source)
        for target in targets:
            for kind in ["NEAREST", "LANCZOS", "BILINEAR", "BICUBIC", "BOX", "HAMMING"]:
                filter = Image.Resampling[kind]
                result = image.resize(target, filter)
                cases.append([*source, *target, int(filter), fnv(result.tobytes())])
    return cases


def preprocess_cases():
    configs = [
        {},
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
        {"size": {"shortest_edge": 31}, "crop_size": {"height": 28, "width": 27}},
        {"size": {"shortest_edge": 30}, "crop_size": {"height": 37, "width": 41}},
        {"size": {"height": 20, "width": 33}, "do_center_crop": False},
        {"size": {"height": 20, "width": 33}, "crop_size": 18, "resample": 2},
        {"do_resize": False, "crop_size": {"height": 17, "width": 12}},
        {"size": 24, "crop_size": 24, "resample": 1, "rescale_factor": 0.01, "image_mean": [0.1, 0.2, 0.3],
         "image_std": [0.4, 0.5, 0.6]},
        {"size": {"shortest_edge": 24}, "crop_size": 24, "do_normalize": False},
        {"size": {"shortest_edge": 24}, "crop_size": 24, "do_rescale": False},
        {"size": {"shortest_edge": 24}, "crop_size": 24, "resample": 0},
        {"size": 24, "default_to_square": True, "crop_size": 20},
        {"size": {"shortest_edge": 30}, "use_square_size": True, "do_center_crop": False},
        {"size": [20, 33], "crop_size": [18, 22], "resample": 5},
        {"size": {"shortest_edge": 24}, "crop_size": 24, "do_center_crop": None, "image_mean": 0.5,
         "image_std": 0.25},
        {"do_resize": None, "resample": None, "size": None, "crop_size": 15, "do_normalize": None, "image_mean": None},
        {"size": 24, "crop_size": 24, "do_rescale": None, "rescale_factor": None, "do_pad": True, "device": None},
        {"size": 24, "crop_size": 24, "do_pad": True, "pad_size": {"height": 24, "width": 24}, "do_convert_rgb": False},
        {"size": 24, "crop_size": 24, "do_pad": None, "pad_size": 99, "resample": 4},
    ]
    siglip = [
        {},
        {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
         "rescale_factor": 0.00392156862745098, "do_convert_rgb": None},
        {"size": {"height": 27, "width": 30}, "resample": 2},
        {"size": 26},
        {"size": {"height": 30, "width": 30}, "do_center_crop": True, "crop_size": 21, "image_std": [0.2, 0.3, 0.4]},
    ]
    named = [{"image_processor_type": "SiglipImageProcessor"} | config for config in siglip]
    cases = []
    for config, kind in [(c, CLIPImageProcessorPil) for c in configs] + [(c, SiglipImageProcessorPil) for c in named]:
        processor = kind(**{key: value for key, value in config.items() if key != "image_processor_type"})
        for width, height in [(53, 41), (41, 53), (25, 200), (60, 19), (30, 30), (11, 7)]:
            values = np.asarray(
                processor(synthetic(width, height, 9), return_tensors="np")["pixel_values"][0], dtype="<f4")
            flat = values.reshape(-1)
            samples = flat[:: max(1, flat.size // 61)]
            cases.append({
                "config": json.dumps(config), "width": width, "height": height, "shape": list(values.shape),
                "digest": fast_fnv(np.ascontiguousarray(values).tobytes()),
                "sample_step": max(1, flat.size // 61), "samples": base64.b64encode(samples.tobytes()).decode(),
            })
    return cases


def alpha_cases():
    """Pictures with transparency through transformers' processor as it is today, and with alpha dropped before it."""
    processor = CLIPImageProcessorPil(size=12, crop_size=11)
    cases = []
    for name in ["rgba8.png", "grey_alpha8.png", "palette8_trns.png", "key_rgb.png", "lossless_alpha.webp",
                 "animated_alpha.webp", "part_clear.gif", "rgb_extra_1.tif", "rgba.bmp", "alpha.avif"]:
        image = ImageOps.exif_transpose(Image.open(files / name))
        # As an array: an RGB image of Pillow's may still carry a transparent colour.
        for rule, given in [("white", image), ("drop", np.asarray(image.convert("RGB")))]:
            values = np.asarray(processor(given, return_tensors="np")["pixel_values"][0], dtype="<f4")
            cases.append([name, rule, fast_fnv(np.ascontiguousarray(values).tobytes())])
    return cases


def open_clip_mode_cases():
    """open_clip's transform: resized in the file's own mode, cropped, then converted. The same values as its
    `image_transform(side, is_train=False)`, which needs a torchvision."""
    cases = []
    for name in ["rgba8.png", "grey_alpha8.png", "grey_alpha16.png", "palette8.png", "palette8_trns.png", "grey1.png",
                 "grey4.png", "key_rgb.png", "key8_0.png", "cmyk.jpg", "420.jpg", "exif6.jpg", "lossless_alpha.webp",
                 "animated_alpha.webp", "lossless.webp", "palette8_clear.gif", "no_palette.gif", "grey8.bmp",
                 "palette8.bmp", "black_white.bmp", "rgba.bmp", "grey_extra2.tif", "rgb_extra_1.tif", "cmyk.tif",
                 "palette8.tif", "grey1_black.tif", "orientation6.tif", "alpha.avif"]:
        for side in (7, 24):
            image = Image.open(files / name)
            short, long = min(image.size), max(image.size)
            other = int(side * long / short)
            size = (side, other) if image.width <= image.height else (other, side)
            image = image.resize(size, Image.Resampling.BICUBIC)
            x, y = round((image.width - side) / 2.0), round((image.height - side) / 2.0)
            cases.append([name, side, fnv(image.crop((x, y, x + side, y + side)).convert("RGB").tobytes())])
    return cases


def torchvision_center_crop(image, side):
    """torchvision.transforms.functional.center_crop on a PIL image, in its arithmetic (Python's round is half to even)."""
    left = (side - image.width) // 2 if side > image.width else 0
    top = (side - image.height) // 2 if side > image.height else 0
    canvas = Image.new("RGB", (max(image.width, side), max(image.height, side)))
    canvas.paste(image, (left, top))
    x = int(round((canvas.width - side) / 2.0))
    y = int(round((canvas.height - side) / 2.0))
    return canvas.crop((x, y, x + side, y + side))


def open_clip_cases():
    """Resize of the shorter side, then CenterCrop, as open_clip composes them."""
    cases = []
    for side in (32, 29):
        for width, height in [(53, 41), (41, 53), (64, 37), (37, 67), (35, 32), (32, 35), (30, 33)]:
            short, long = min(width, height), max(width, height)
            other = int(side * long / short)
            size = (side, other) if width <= height else (other, side)
            result = torchvision_center_crop(synthetic(width, height, 9).resize(size, Image.Resampling.BICUBIC), side)
            cases.append([side, width, height, fnv(result.tobytes())])
    # A crop larger than the image, which is not resized: a negative side.
    for width, height in [(20, 31), (21, 17)]:
        result = torchvision_center_crop(synthetic(width, height, 9), 24)
        cases.append([-24, width, height, fnv(result.tobytes())])
    return cases


def photo_cases(shared):
    """Per photo: digest of the decoded pixels, of the 224 crop, and 96 bytes of the crop."""
    processor = CLIPImageProcessorPil(do_rescale=False, do_normalize=False)
    cases = []
    for folder in ["data/coco_open", "data/drawbench_sd21/images"]:
        paths = sorted(p for p in (shared / folder).iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
        for path in paths:
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            crop = np.ascontiguousarray(processor(image, return_tensors="np")["pixel_values"][0].astype(np.uint8))
            cases.append([
                f"{folder}/{path.name}", image.width, image.height, fast_fnv(image.tobytes()),
                fast_fnv(crop.tobytes()), base64.b64encode(crop.reshape(-1)[::1568].tobytes()).decode(),
            ])
    return cases


def write(name, value):
    (here / name).write_text(json.dumps(value, separators=(",", ":"), sort_keys=True) + "\n")


def main():
    files.mkdir(exist_ok=True)
    (here / "refused").mkdir(exist_ok=True)
    write("fixtures.json", {
        "versions": VERSIONS, "decode": decode_cases(), "prefix": prefix_cases(), "draft": draft_cases(), "resize": resize_cases(),
        "preprocess": preprocess_cases(), "open_clip": open_clip_cases(),
        "alpha": alpha_cases(), "open_clip_modes": open_clip_mode_cases(),
    })
    if len(sys.argv) > 1:
        write("photos.json", {"versions": VERSIONS, "photos": photo_cases(pathlib.Path(sys.argv[1]))})


main()
