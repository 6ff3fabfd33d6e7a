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
