#!/usr/bin/env bash
# Gets libtorch out of the wheel that pip knows: headers, libraries and the version, nothing else of it.
#
#   scripts/get-libtorch.sh DIR      (DIR becomes the `torch` folder; nothing happens when libtorch lies there already)
#
# GMAIL_TORCH=2.13.0+cpu    another version of the wheel
set -euo pipefail

say() { echo "get-libtorch: $*" >&2; }
die() { echo "get-libtorch: $*" >&2; exit 1; }

[ $# = 1 ] || die "expected the folder that becomes torch: scripts/get-libtorch.sh DIR"
out=$1
[ ! -e "$out/lib/libtorch_cpu.so" ] || exit 0
for program in python3 unzip; do
    command -v "$program" >/dev/null || die "$program is missing; install it: apt-get install $program"
done
python3 -m pip --version >/dev/null 2>&1 || die "pip is missing; install it: apt-get install python3-pip"

version=${GMAIL_TORCH:-2.13.0+cpu}
# Beside the folder, so that the last step is a rename within one file system.
rm -rf "$out.wheel" "$out.new" "$out"
mkdir -p "$out.new"
say "getting libtorch out of the wheel torch==$version (about 190 MB)"
get() { python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: -d "$out.wheel" "$1" >/dev/null; }
get "torch==$version" || {
    say "torch==$version is not to be had; taking pip's current torch"
    get torch || die "pip found no torch; check the network, or name a copy (LIBTORCH=/path/to/torch)"
}
unzip -q -o "$out.wheel"/torch-*.whl 'torch/include/*' 'torch/lib/*' torch/version.py -d "$out.new" ||
    die "the torch wheel could not be unpacked; remove $out.wheel and run again"
rm -f "$out.new/torch/lib/libtorch_python.so"
mv "$out.new/torch" "$out"
rm -rf "$out.new" "$out.wheel"
