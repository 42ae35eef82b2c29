#!/bin/sh
# Makes the callers' audio anew from the texts and voices in */caller.toml and agents/*.toml: ./make.sh [CALLER…];
# those of the corpus's calls from spoken/calls.toml: ./make.sh --spoken [NUMBER…]
# Needs flite, espeak-ng, sox and Python 3.11. Voices of engine "kokoro" also need KOKORO_DIR (see README.md).
set -eu
cd "$(dirname "$0")"
script=make.py
if [ "${1:-}" = --spoken ]; then
    script=spoken.py
    shift
fi
exec "${PYTHON:-python3}" "$script" "$@"
