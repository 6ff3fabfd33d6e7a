#!/usr/bin/env bash
# Builds libgmail-torch.so, the one part of the project that is compiled against libtorch.
#
#   scripts/build-torch-shim.sh [--torch DIR] [--out DIR] [--jobs N]
#
# --torch  the `torch` folder of a wheel or a libtorch distribution (include/ and lib/ inside), 2.11 to 2.13, CPU or
#          CUDA. Default: $LIBTORCH, else .deps/torch (made by scripts/setup.sh), else the torch of python3.
# --out    where the library goes. Default: .build/torch-shim
# A machine without Swift needs this script, Sources/CTorch and a C++20 compiler, nothing more (docs/cuda.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

torch="${LIBTORCH:-}"
out=.build/torch-shim
jobs=$(nproc)
while [ $# -gt 0 ]; do
    case "$1" in
        --torch) torch=$2; shift 2 ;;
        --out) out=$2; shift 2 ;;
        --jobs) jobs=$2; shift 2 ;;
        -h | --help) sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//'; exit 0 ;;
        *) echo "build-torch-shim: unknown argument '$1' (see --help)" >&2; exit 2 ;;
    esac
done
if [ -z "$torch" ]; then
    if [ -d .deps/torch ]; then
        torch=$PWD/.deps/torch
    else
        torch=$(python3 -c 'import importlib.util as u, os; s = u.find_spec("torch"); print(os.path.dirname(s.origin) if s else "")' || true)
    fi
fi
if [ ! -f "$torch/include/ATen/ATen.h" ] || [ ! -e "$torch/lib/libtorch_cpu.so" ]; then
    echo "build-torch-shim: no libtorch at '${torch:-(nowhere)}' (include/ATen/ATen.h and lib/libtorch_cpu.so expected); run scripts/setup.sh, or pass --torch DIR" >&2
    exit 1
fi
torch=$(cd "$torch" && pwd)

compiler=${CXX:-}
if [ -z "$compiler" ]; then
    for candidate in g++ clang++ c++; do
        if command -v "$candidate" >/dev/null; then compiler=$candidate; break; fi
    done
fi
[ -n "$compiler" ] || { echo "build-torch-shim: no C++ compiler found; install one: apt-get install g++" >&2; exit 1; }

mkdir -p "$out"
sources=(Sources/CTorch/shim/*.cpp)
flags=(-std=c++20 -O2 -fPIC -fvisibility=default -Wall -Wextra -Wno-unused-parameter -Werror=return-type
    -isystem "$torch/include" -isystem "$torch/include/torch/csrc/api/include")
# libtorch's parallel loops are inline code over OpenMP: without it, what is compiled here runs on one thread. Only the compiler
# gets the flag, never the linker: libtorch brings GCC's OpenMP library with it, and a second copy would keep threads of its own.
if "$compiler" --version 2>/dev/null | grep -qi clang; then
    echo "build-torch-shim: warning: $compiler is Clang, whose OpenMP is not the one of libtorch; kernels of our own will run on one thread. Install g++ for all of them." >&2
else
    flags+=(-fopenmp)
fi
libraries=(-L"$torch/lib" -ltorch -ltorch_cpu -lc10)
if [ -e "$torch/lib/libtorch_cuda.so" ]; then
    # Nothing here calls libtorch_cuda by name, yet it must be loaded: its kernels register themselves.
    libraries=(-L"$torch/lib" -Wl,--no-as-needed -ltorch -ltorch_cpu -ltorch_cuda -lc10 -lc10_cuda -Wl,--as-needed)
fi

# A stamp of everything the objects depend on: same stamp, nothing to do.
stamp=$( (echo "$torch" "$compiler" "${flags[@]}"; cat "$torch/version.py" 2>/dev/null || cat "$torch/build-version" 2>/dev/null || true
    cat Sources/CTorch/include/* Sources/CTorch/shim/*.h "${sources[@]}" scripts/build-torch-shim.sh) | sha256sum | cut -c1-32)
if [ -f "$out/libgmail-torch.so" ] && [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi

common=$( (echo "$torch" "$compiler" "${flags[@]}"; cat "$torch/version.py" 2>/dev/null || true
    cat Sources/CTorch/include/* Sources/CTorch/shim/*.h) | sha256sum | cut -c1-32)
echo "building the libtorch shim against $torch ($compiler)" >&2
compile() {
    source=$1
    object="$out/$(basename "$source" .cpp).o"
    key="$common-$(sha256sum <"$source" | cut -c1-32)"
    if [ -f "$object" ] && [ "$(cat "$object.key" 2>/dev/null)" = "$key" ]; then return 0; fi
    "$compiler" "${flags[@]}" -c "$source" -o "$object.tmp"
    mv "$object.tmp" "$object"
    echo "$key" >"$object.key"
}
failed=0
pids=()
for source in "${sources[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || failed=1; done
    compile "$source" &
    pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
[ "$failed" = 0 ] || { echo "build-torch-shim: compilation failed" >&2; exit 1; }
objects=()
for source in "${sources[@]}"; do objects+=("$out/$(basename "$source" .cpp).o"); done
"$compiler" -shared -o "$out/libgmail-torch.so.tmp" "${objects[@]}" "${libraries[@]}" \
    -Wl,-Bsymbolic -Wl,-rpath,'$ORIGIN' -Wl,-rpath,"$torch/lib"
mv "$out/libgmail-torch.so.tmp" "$out/libgmail-torch.so"
echo "$stamp" >"$out/stamp"
