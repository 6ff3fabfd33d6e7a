"""Writes pax.tar and gnu.tar: two pairs each, the second under a name of more than 100 bytes. Python's tarfile, 3.11.

    python3 make_tars.py
"""
import io
import os
import tarfile

here = os.path.dirname(os.path.abspath(__file__))
long = "shard/" + "n" * 120 + "\u00e9"

for name, format in (("pax.tar", tarfile.PAX_FORMAT), ("gnu.tar", tarfile.GNU_FORMAT)):
    with tarfile.open(os.path.join(here, name), "w", format=format) as tar:
        folder = tarfile.TarInfo("shard")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for key, number in (("shard/000", 0), (long, 1)):
            for ending, content in (
                ("jpg", b"real %d" % number), ("gen.png", b"generated %d" % number),
                ("txt", "caption \u00e9 %d" % number), ("cls", b"7")
            ):
                content = content.encode() if isinstance(content, str) else content
                info = tarfile.TarInfo(f"{key}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

# What our writer is to write, byte for byte up to the padding at the end: ustar headers by tarfile, the long name in a pax
# header made by hand, which tarfile must understand.
path = os.path.join(here, "ours.tar")
name = "x" * 97 + "/y.txt"
record = f" path={name}\n"
length = len(record)
while len(str(length)) + len(record) != length:
    length += 1
record = f"{length}{record}".encode()
with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
    for member, kind, content in (
        ("000000000.jpg", tarfile.REGTYPE, b"r" * 513), ("000000000.gen.png", tarfile.REGTYPE, b"g" * 512),
        ("PaxHeader", tarfile.XHDTYPE, record), (name[:100], tarfile.REGTYPE, b"\x01\x02\x03"),
    ):
        info = tarfile.TarInfo(member)
        info.type, info.size, info.mode, info.mtime = kind, len(content), 0o644, 0
        tar.addfile(info, io.BytesIO(content))
with tarfile.open(path) as tar:
    assert tar.getnames() == ["000000000.jpg", "000000000.gen.png", name], tar.getnames()
    assert tar.extractfile(name).read() == b"\x01\x02\x03"
