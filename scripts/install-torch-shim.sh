#!/usr/bin/env bash
# Builds libgmail-torch.so and puts it where every program of this user that is built on this version of the package finds
# it. `swift package torch-shim` runs this in a package that depends on ours.
#
#   scripts/install-torch-shim.sh [--torch DIR] [--jobs N] [--objects DIR]
#
# --torch    the libtorch to build against (see build-torch-shim.sh); it must stay where it is. Default: $LIBTORCH, else the one
#            that this script gets out of pip's wheel, once, and keeps beside the shim.
# --jobs     compilations at a time. Default: one for each processor.
# --objects  where compiled parts are kept for the next time. Default: .build/torch-shim of this package
#
# The library goes to $XDG_DATA_HOME/gmail/<interface version>/ (~/.local/share by default), the wheel's libtorch to
# $XDG_DATA_HOME/gmail/torch.
set -euo pipefail
scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() { echo "torch-shim: $*" >&2; exit 1; }

torch=${LIBTORCH:-}
objects=$scripts/../.build/torch-shim
arguments=()
while [ $# -gt 0 ]; do
    case "$1" in
        -h | --help) sed -n '2,16p' "${BASH_SOURCE[0]}" | sed 's/^# \{0,1\}//'; exit 0 ;;
        --torch | --jobs | --objects)
            [ $# -ge 2 ] || { echo "torch-shim: $1 expects a value (see --help)" >&2; exit 2; } ;;&
        --torch) torch=$2; shift 2 ;;
        --jobs) arguments+=(--jobs "$2"); shift 2 ;;
        --objects) objects=$2; shift 2 ;;
        *) echo "torch-shim: unknown argument '$1' (see --help)" >&2; exit 2 ;;
    esac
done

# As the loader has it (Sources/CTorch/loader.c): a relative path counts as none.
data=${XDG_DATA_HOME:-}
if [ "${data:0:1}" != / ]; then
    home=${HOME:-}
    [ "${home:0:1}" = / ] || die "neither XDG_DATA_HOME nor HOME names a folder to put the library in"
    data=$home/.local/share
fi
version=$(sed -n 's/^#define CT_ABI_VERSION \([0-9]*\)$/\1/p' "$scripts/../Sources/CTorch/include/ctorch.h")
[ -n "$version" ] || die "Sources/CTorch/include/ctorch.h names no CT_ABI_VERSION"

if [ -z "$torch" ]; then
    torch=$data/gmail/torch
    "$scripts/get-libtorch.sh" "$torch"
fi
# Named from here: build-torch-shim.sh works in its own folder.
torch=$(cd "$torch" 2>/dev/null && pwd) || die "'$torch' is no folder; --torch expects one with include/ and lib/ of libtorch in it"
mkdir -p "$objects" "$data/gmail/$version"
objects=$(cd "$objects" && pwd)
"$scripts/build-torch-shim.sh" --torch "$torch" --out "$objects" "${arguments[@]}"
library=$data/gmail/$version/libgmail-torch.so
cp "$objects/libgmail-torch.so" "$library.new"
mv "$library.new" "$library"
echo "$library" >&2
