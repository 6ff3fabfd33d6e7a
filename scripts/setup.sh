#!/usr/bin/env bash
# Gets what the project builds on, once: system libraries, libtorch, the METEOR tables. Safe to repeat; a second run with
# nothing changed takes well under a second.
#
#   scripts/setup.sh
#
# LIBTORCH=/path/to/torch   use this copy (the `torch` folder of an installed Python package, or a libtorch distribution)
# GMAIL_TORCH=2.13.0+cpu    another version of the wheel
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "setup: $*" >&2; }
die() { echo "setup: $*" >&2; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else return 1; fi; }

command -v swift >/dev/null || die "Swift 6 is not on PATH; install it from https://www.swift.org/install/linux"
command -v python3 >/dev/null || die "python3 is missing; install it: apt-get install python3 python3-pip"

# System libraries: headers tell what is there.
packages=()
[ -e /usr/include/jpeglib.h ] || packages+=(libjpeg62-turbo-dev)
[ -e /usr/include/turbojpeg.h ] || packages+=(libturbojpeg0-dev)
[ -e /usr/include/png.h ] || packages+=(libpng-dev)
[ -e /usr/include/webp/decode.h ] || packages+=(libwebp-dev)
command -v pkg-config >/dev/null || packages+=(pkg-config)
command -v g++ >/dev/null || packages+=(g++)
command -v unzip >/dev/null || packages+=(unzip)
install() { as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$@" >/dev/null; }
if [ ${#packages[@]} -gt 0 ]; then
    say "installing ${packages[*]}"
    # Ubuntu names two of them otherwise.
    # A fresh machine has no package lists: the first failure says nothing yet.
    install "${packages[@]}" 2>/dev/null || {
        as_root apt-get update -q >/dev/null || true
        install "${packages[@]}" || install "${packages[@]/libjpeg62-turbo-dev/libjpeg-turbo8-dev}" ||
            die "could not install system libraries; run as root: apt-get install ${packages[*]}"
    }
fi

# Decoders of TIFF, AVIF and HEIC: their headers are used where they are there when the program is built, their libraries
# are loaded when the first such file is read. Without them those files are refused by name, so this is tried once and
# its failure stops nothing.
mkdir -p .deps
has_header() { [ -e "/usr/include/$1" ] || compgen -G "/usr/include/*/$1" >/dev/null; }
codecs=()
has_header tiffio.h || codecs+=(libtiff-dev)
has_header avif/avif.h || codecs+=(libavif-dev)
has_header libheif/heif.h || codecs+=(libheif-dev)
if [ ${#codecs[@]} -gt 0 ] && [ "$(cat .deps/codecs-tried 2>/dev/null)" != "${codecs[*]}" ]; then
    say "installing ${codecs[*]}"
    install "${codecs[@]}" 2>/dev/null || { as_root apt-get update -q >/dev/null 2>&1 && install "${codecs[@]}" 2>/dev/null; } ||
        say "warning: could not install ${codecs[*]}; images of their formats will be refused. To read them, install these" \
            "and run scripts/setup.sh again"
    echo "${codecs[*]}" >.deps/codecs-tried
fi
# The compiler's notes of what it read do not name headers that were missing: a change of what is there builds anew.
present=
for header in tiffio.h avif/avif.h libheif/heif.h; do
    if has_header "$header"; then present+=" $header"; fi
done
if [ "$(cat .deps/codecs 2>/dev/null)" != "$present" ]; then
    touch Sources/CImageCodecs/tiff.c Sources/CImageCodecs/avif.c Sources/CImageCodecs/heif.c
    echo "$present" >.deps/codecs
fi

# libtorch: .deps/torch is a folder of our own, or a link to the copy that LIBTORCH names.
if [ -n "${LIBTORCH:-}" ]; then
    [ -f "$LIBTORCH/include/ATen/ATen.h" ] && [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] ||
        die "LIBTORCH=$LIBTORCH holds no libtorch (include/ATen/ATen.h and lib/libtorch_cpu.so expected)"
    if [ "$(readlink .deps/torch || true)" != "$(cd "$LIBTORCH" && pwd)" ]; then
        rm -rf .deps/torch
        ln -s "$(cd "$LIBTORCH" && pwd)" .deps/torch
    fi
else
    scripts/get-libtorch.sh .deps/torch
fi

# METEOR's tables, also SPICE's WordNet: compiled by scripts/meteor-data.sh once the program is built. Nothing else needs
# them, so their absence is no failure.
wheel=.deps/meteor/pycocoevalcap-1.2-py3-none-any.whl
if [ ! -f "$wheel" ]; then
    say "getting METEOR's tables out of pycocoevalcap==1.2 (104 MB)"
    rm -rf .deps/meteor.new
    if python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d .deps/meteor.new \
        pycocoevalcap==1.2 >/dev/null && [ -f ".deps/meteor.new/${wheel##*/}" ]; then
        rm -rf .deps/meteor
        mv .deps/meteor.new .deps/meteor
    else
        rm -rf .deps/meteor.new
        say "warning: pip found no pycocoevalcap==1.2, so METEOR and SPICE will be unavailable. To add them later, run" \
            "scripts/setup.sh && scripts/meteor-data.sh with a network, or gmail data meteor --from FILE with a copy of the wheel"
    fi
fi

# For other programs that want to build against the same copy: PKG_CONFIG_PATH=.deps pkg-config --cflags libtorch
torch=$(cd .deps/torch && pwd -P)
cat >.deps/libtorch.pc.new <<EOF
prefix=$torch
Name: libtorch
Description: PyTorch's C++ library
Version: $(sed -n "s/^__version__ = '\([0-9.]*\).*/\1/p" "$torch/version.py" 2>/dev/null || echo 0)
Cflags: -isystem \${prefix}/include -isystem \${prefix}/include/torch/csrc/api/include
Libs: -L\${prefix}/lib -ltorch -ltorch_cpu -lc10
EOF
cmp -s .deps/libtorch.pc.new .deps/libtorch.pc 2>/dev/null && rm .deps/libtorch.pc.new || mv .deps/libtorch.pc.new .deps/libtorch.pc
