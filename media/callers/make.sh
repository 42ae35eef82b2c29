#!/bin/sh
# Makes the callers' audio anew from the texts and voices in */caller.toml and agents/*.toml: ./make.sh [CALLER…]
# Needs flite, espeak-ng, sox and Python 3.11. Voices of engine "kokoro" also need KOKORO_DIR (see README.md).
set -eu
cd "$(dirname "$0")"
exec "${PYTHON:-python3}" make.py "$@"
