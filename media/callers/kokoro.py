"""Speaks English texts with Kokoro-82M's voices.

Needs a directory (KOKORO_DIR) with model.onnx, vocab.json and voices/NAME.bin; make.sh prepares it. Phonemes come from
espeak-ng and are rewritten to the alphabet that the model was trained on.
"""
import json
import os
import re
import subprocess
import wave
from pathlib import Path

import numpy
import onnxruntime

RATE = 24_000
# espeak-ng writes (with ^ as the tie) what the model knows under one letter; longest first.
REWRITE = [
    ("ʔˌn\u0329", "tn"), ("ʔn\u0329", "tn"), ("ʔn", "tn"), ("ʔ", "t"), ("a^ɪ", "I"), ("a^ʊ", "W"), ("d^ʒ", "ʤ"),
    ("e^ɪ", "A"), ("t^ʃ", "ʧ"), ("ɔ^ɪ", "Y"), ("o^ʊ", "O"), ("ə^ʊ", "Q"), ("ə^l", "ᵊl"), ("ʲ", ""), ("ɚ", "əɹ"),
    ("ɜː^ɹ", "ɜɹ"), ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɪ^ə", "iə"), ("r", "ɹ"), ("x", "k"), ("ç", "k"), ("ɐ", "ə"), ("ɬ", "l"),
    ("oː", "ɔ"), ("o", "ɔ"), ("e", "A"), ("ɾ", "T"), ("^", ""), ("\u0303", ""), ("\u0329", ""),
]


def phonemes(text: str, british: bool) -> str:
    out = []
    for piece in re.split(r"([,.;:!?]+)", text):
        if re.fullmatch(r"[,.;:!?]+", piece):
            out.append(piece[0])
        elif piece.strip():
            said = subprocess.run(
                ["espeak-ng", "-q", "--ipa", "--tie=^", "-v", "en-gb" if british else "en-us", piece.strip()],
                check=True, capture_output=True, text=True,
            ).stdout
            said = " ".join(said.split())
            for old, new in REWRITE:
                said = said.replace(old, new)
            if not british:
                said = said.replace("ː", "")
            out.append((" " if out else "") + said)
    return "".join(out)


class Kokoro:
    """The model, loaded once."""

    def __init__(self) -> None:
        self.home = Path(os.environ["KOKORO_DIR"])
        self.vocab = json.loads((self.home / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        model = str(self.home / "model.onnx")
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def speak(self, voice: str, speed: float, text: str, target: Path) -> None:
        spoken = phonemes(text.strip(), british=voice.startswith("b"))
        tokens = [self.vocab[c] for c in spoken if c in self.vocab]
        style = numpy.fromfile(self.home / "voices" / f"{voice}.bin", dtype=numpy.float32).reshape(-1, 256)
        audio = self.session.run(None, {
            "tokens": numpy.array([[0, *tokens, 0]], dtype=numpy.int64),
            "style": style[min(len(tokens), len(style)) - 1].reshape(1, 256),
            "speed": numpy.array([speed], dtype=numpy.float32),
        })[0].ravel()
        with wave.open(str(target), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes((numpy.clip(audio, -1, 1) * 32767).astype("<i2").tobytes())
