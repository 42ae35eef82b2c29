"""Speaks the calls that spoken/calls.toml lists: one OGG a call, everything its caller may say one after the other, and
spoken/cues.json, which says from which millisecond to which each thing stands in it.

Called as `./make.sh --spoken [NUMBER…]`. What is said stands in the corpus.
"""
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from make import HERE, run, telephone

ROOM = HERE / "spoken"
CORPUS = HERE.parents[1] / "crates/intake/testdata/corpus"
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
# What a caller of the corpus says without a line of its own.
USUAL = {"yes": "Yes.", "no": "No.", "thanks": "Yes, thank you.", "all": "No, that's all."}
PAUSE_MS = 200


def call_of(file: str, title: str) -> list[str]:
    for part in ("\n" + (CORPUS / f"{file}.txt").read_text(encoding="utf-8")).split("\n== ")[1:]:
        lines = part.splitlines()
        if lines[0].strip() == title:
            return [line.strip() for line in lines[1:]]
    raise SystemExit(f"{file} has no call {title!r}")


def utterances(lines: list[str]) -> dict[str, str]:
    """By cue: `say-1`, `order_number-1`, …"""
    out, counts = {}, {}
    for line in lines:
        word, _, rest = line.partition(" ")
        key = "say" if word == "<" else word[:-1] if re.fullmatch(r"[a-z_]+:", word) else None
        if key:
            counts[key] = counts.get(key, 0) + 1
            out[f"{key}-{counts[key]}"] = rest
        elif word == "known":
            out["me"] = f"{rest}."
    return out | USUAL


def aloud(text: str) -> str:
    """Numbers and addresses as a caller says them: digit by digit, letters by name."""
    text = re.sub(r"(\w+)\.(\w+)@(\w+)\.(\w+)", r"\1 dot \2 at \3 dot \4", text)
    digits = lambda text: " ".join(DIGITS[int(d)] for d in text if d.isdigit())
    letters = lambda text: " ".join(c for c in text if c.isalpha())
    code = re.compile(r"\b([A-Z](?: ?[A-Z])?)[- ]?(\d[\d -]*\d|\d)")
    text = code.sub(lambda m: f"{letters(m[1])} {digits(m[2])}", text)
    return re.sub(r"(?<![\d$])(?!19\d\d\b|20\d\d\b)\d{3,}", lambda m: digits(m[0]), text)


def speak_call(number: int, call: dict) -> dict[str, list[int]]:
    cues, at = {}, 0
    with tempfile.TemporaryDirectory() as folder:
        parts = []
        for cue, text in utterances(call_of(call["file"], call["title"])).items():
            part = Path(folder) / f"{cue}.wav"
            telephone(call["voice"], aloud(text), part)
            ms = round(1000 * float(subprocess.check_output(["soxi", "-D", part], text=True)))
            cues[cue] = [at, at + ms]
            at += ms + PAUSE_MS
            parts += [part, Path(folder) / "pause.wav"]
        run("sox", "-n", "-r", 8000, "-c", 1, "-b", 16, Path(folder) / "pause.wav", "trim", 0, PAUSE_MS / 1000)
        run("sox", "-R", *parts, "-C", 1, ROOM / f"{number:02}.ogg")
    return cues


def main() -> None:
    calls = tomllib.loads((ROOM / "calls.toml").read_text(encoding="utf-8"))["call"]
    index = ROOM / "cues.json"
    wanted = [int(n) for n in sys.argv[1:]] or range(1, len(calls) + 1)
    for number in wanted:
        spoken = speak_call(number, calls[number - 1])
        cues = json.loads(index.read_text(encoding="utf-8")) if index.exists() else {}
        cues[f"{number:02}"] = spoken
        index.write_text(json.dumps(cues, sort_keys=True).replace("}, ", "},\n") + "\n", encoding="utf-8")


main()
