#!/bin/sh
# Makes hold.wav anew. Needs Python 3.
set -eu
cd "$(dirname "$0")"
exec python3 hold.py hold.wav
