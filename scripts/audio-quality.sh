#!/usr/bin/env bash
# How speech sounds after codec, loss and concealment: ViSQOL (MOS-LQO, speech mode) of what the bench `quality` heard, with
# concealment and without. Prints a table and merges it into target/bench/summary.json. Takes visqol-python from PyPI into an
# environment of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=target/venv-quality
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/python" -c 'import visqol' 2>/dev/null || "$venv/bin/python" -m pip install -q visqol-python || {
    echo 'audio-quality: visqol-python cannot be had from PyPI; the WAV files can still be made and heard' >&2
    exit 2
}
cargo bench -p baton-media --bench quality
"$venv/bin/python" - target/bench <<'PY'
import json, pathlib, sys
from visqol import VisqolApi
bench = pathlib.Path(sys.argv[1])
api = VisqolApi()
api.create(mode="speech")
files, summary = bench / "quality", bench / "summary.json"
rows = json.loads(summary.read_text()) if summary.exists() else {}
print(f"{'MOS-LQO':8} {'loss %':>6} {'concealed':>10} {'silence':>8}")
for codec in ["PCMU", "PCMA", "G722", "opus"]:
    for loss in [0, 1, 5, 10]:
        with_, without = (
            api.measure(str(files / "reference.wav"), str(files / f"{codec}-{loss}-{how}.wav")).moslqo
            for how in ("plc", "none")
        )
        print(f"{codec:8} {loss:6} {with_:10.2f} {without:8.2f}")
        rows[f"media.visqol_{codec.lower()}_{loss}_moslqo"] = {
            "value": round(with_, 3), "unit": "MOS-LQO", "beside": f"without concealment: {without:.3f}",
            "ratio": round(with_ / without, 3), "n": 1,
            "conditions": "14 s of telephone speech, 8 kHz, losses spread evenly, ViSQOL speech mode, polynomial mapping",
        }
summary.parent.mkdir(parents=True, exist_ok=True)
summary.write_text(json.dumps(rows, indent=2))
PY
