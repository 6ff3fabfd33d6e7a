#!/usr/bin/env bash
# Compiles METEOR's tables out of the wheel that scripts/setup.sh fetched into the file that `gmail evaluate captions`
# maps. Takes about ten seconds, then nothing until the wheel or the file's layout changes.
#
#   scripts/meteor-data.sh [PROGRAM]      (default: .build/release/gmail)
#
# GMAIL_DATA_DIR=DIR   puts the file there instead of into the user's data folder
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${1:-.build/release/gmail}
wheel=.deps/meteor/pycocoevalcap-1.2-py3-none-any.whl
if [ ! -f "$wheel" ]; then
    echo "meteor-data: no $wheel, so METEOR and SPICE are unavailable; run scripts/setup.sh with a network" >&2
    exit 0
fi
if [ ! -x "$program" ]; then
    echo "meteor-data: no program at '$program'; run make build" >&2
    exit 1
fi

# As MeteorData.defaultPath has it.
folder=${GMAIL_DATA_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/gmail}
# The stamp spares a second of hashing: what the file was made of, and the code that decides what it looks like.
stamp=$( (echo "$folder"; ls -l --time-style=full-iso "$wheel"; cat Sources/CaptionMetrics/Meteor/MeteorData*.swift) | sha256sum | cut -c1-32)
if [ -f "$folder/meteor-en.bin" ] && [ "$(cat .deps/meteor/compiled 2>/dev/null)" = "$stamp" ]; then exit 0; fi
"$program" data meteor --from "$wheel" --out "$folder/meteor-en.bin" || {
    echo "meteor-data: METEOR and SPICE will be unavailable; run scripts/meteor-data.sh again when the cause is gone" >&2
    exit 0
}
echo "$stamp" >.deps/meteor/compiled
