#!/usr/bin/env python3
"""Builds the labelled sets of recordings of people that the speech benches measure on: speech-sets.py OUT

In OUT: `endpoint.tsv`, turns whose end is known, and `digits.tsv`, strings of digits. A line for each: file, tab, what is said
(where known), tab, what was asked for (anything, digits N). And `SOURCES.txt`, whose they are. Nothing of it is in the repository.

- Asterisk's core sounds, one speaker, CC-BY-SA 3.0: Debian's package asterisk-core-sounds-en-wav. Sentences with pauses.
- Free Spoken Digit Dataset, six speakers, 8 kHz, CC-BY-SA 4.0: strings of digits of one speaker, with the pauses that people
  make between groups of them.
- AMI Meeting Corpus, CC BY 4.0, excerpts with who speaks when, as pyannote.audio's tests hold them: free speech, with "um".

FSDD_DIR and AMI_DIR name folders that are there already; else both are cloned. Same files on every run.
"""
import os
import random
import struct
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

FSDD = ("Jakobovski/free-spoken-digit-dataset", "26eb9aaf76e81b692f806f9140c2d2777410d7a1")
AMI = ("pyannote/pyannote-audio", "b749285c5cdd4636b2edc7f766f1352c8dde9369")
RATE = 8_000
WORDS = "zero one two three four five six seven eight nine".split()
# As people group them, and how long they pause in between: ms.
GROUPS = [(4,), (2, 2), (3, 3), (3, 4), (3, 3, 4), (1, 3), (2, 2, 2)]
BETWEEN_DIGITS = (20, 120)
BETWEEN_GROUPS = (200, 650)


def clone(repo: tuple[str, str], into: Path) -> Path:
    subprocess.run(["git", "clone", "-q", f"https://github.com/{repo[0]}", into], check=True)
    subprocess.run(["git", "-C", into, "checkout", "-q", repo[1]], check=True)
    return into


def read(path: Path) -> tuple[list[int], int]:
    data = path.read_bytes()
    at, rate, kind, bits = 12, RATE, 1, 16
    while at + 8 <= len(data):
        name, size = data[at:at + 4], struct.unpack_from("<I", data, at + 4)[0]
        if name == b"fmt ":
            kind, _, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
        if name == b"data":
            body = data[at + 8:at + 8 + size]
            if kind == 3:
                values = struct.unpack(f"<{len(body) // 4}f", body[:len(body) // 4 * 4])
                return [max(-32768, min(32767, round(v * 32767))) for v in values], rate
            assert bits == 16, path
            return list(struct.unpack(f"<{len(body) // 2}h", body[:len(body) // 2 * 2])), rate
        at += 8 + size + size % 2
    raise SystemExit(f"{path} is no WAV")


def write(path: Path, samples: list[int], rate: int) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))


def trimmed(samples: list[int]) -> list[int]:
    """Without silence at both ends, and as loud as the others."""
    peak = max(map(abs, samples))
    loud = [i for i, s in enumerate(samples) if abs(s) > peak * 0.06]
    cut = samples[max(0, loud[0] - 160):loud[-1] + 240]
    return [round(s * 12_000 / peak) for s in cut]


def quiet(ms: float, dice: random.Random) -> list[int]:
    return [dice.randint(-12, 12) for _ in range(int(ms * RATE / 1000))]


def digits(recordings: Path, out: Path, dice: random.Random) -> tuple[list, list]:
    speakers = sorted({p.stem.split("_")[1] for p in recordings.glob("*.wav")})
    turns, strings = [], []
    for speaker in speakers:
        for n in range(16):
            groups = GROUPS[n % len(GROUPS)]
            said = [[dice.randrange(10) for _ in range(size)] for size in groups]
            for kind, pause in (("turn", BETWEEN_GROUPS), ("string", BETWEEN_DIGITS)):
                pcm: list[int] = []
                for g, group in enumerate(said):
                    pcm += quiet(dice.uniform(*pause), dice) if g else []
                    for d, digit in enumerate(group):
                        pcm += quiet(dice.uniform(*BETWEEN_DIGITS), dice) if d else []
                        pcm += trimmed(read(recordings / f"{digit}_{speaker}_{dice.randrange(50)}.wav")[0])
                path = out / f"fsdd-{speaker}-{n:02}-{kind}.wav"
                write(path, pcm, RATE)
                words = " ".join(WORDS[d] for group in said for d in group)
                row = (path, words, f"digits {sum(groups)}")
                (turns if kind == "turn" else strings).append(row)
    return turns, strings


def prompts(folder: Path, out: Path) -> list:
    rows = []
    for path in sorted(folder.rglob("*.wav")):
        samples, rate = read(path)
        seconds = len(samples) / rate
        if rate == RATE and 1.5 <= seconds <= 12 and path.parent.name not in ("digits", "letters", "phonetic", "silence"):
            if not any(word in path.name for word in ("monkeys", "weasels", "beep", "jingle", "ring", "tone")):
                rows.append((path, "", "anything"))
    return rows[::3]


def meetings(folder: Path, out: Path) -> list:
    """One speaker's turn: stretches less than 1.2 s apart with nobody else in between, and nobody over its end."""
    rows = []
    spoken: dict[str, list] = {}
    for rttm in sorted(folder.glob("*.rttm")):
        for line in rttm.read_text(encoding="utf-8").splitlines():
            _, name, _, start, length, _, _, who = line.split()[:8]
            spoken.setdefault(name, []).append((float(start), float(start) + float(length), who))
    for name, parts in sorted(spoken.items()):
        path = folder / f"{name}.wav"
        if not path.exists():
            continue
        parts.sort()
        samples, rate = read(path)
        last = len(samples) / rate
        turns: list[list] = []
        for start, end, who in parts:
            if turns and turns[-1][2] == who and start - turns[-1][1] < 1.2:
                turns[-1][1] = max(end, turns[-1][1])
            else:
                turns.append([start, end, who])
        for start, end, who in turns:
            over = [p for p in parts if p[2] != who and p[0] < end + 0.3 and p[1] > start - 0.1]
            if over or end - start < 0.6 or end > last - 1.5 and end > 29:
                continue
            cut = samples[int(max(0, start - 0.1) * rate):int((end + 0.05) * rate)]
            peak = max(map(abs, cut)) or 1
            target = out / f"ami-{name}-{int(start * 1000)}.wav"
            write(target, [round(s * 14_000 / peak) for s in cut], rate)
            rows.append((target, "", "anything"))
    return rows


def main() -> None:
    out = Path(sys.argv[1]).resolve()
    out.mkdir(parents=True, exist_ok=True)
    dice = random.Random(5)
    with tempfile.TemporaryDirectory() as scratch:
        here = Path(scratch)
        fsdd = Path(os.environ.get("FSDD_DIR") or clone(FSDD, here / "fsdd")) / "recordings"
        ami = Path(os.environ["AMI_DIR"]) if os.environ.get("AMI_DIR") else clone(AMI, here / "ami") / "tests/data"
        sounds = out / "asterisk"
        if not sounds.exists():
            subprocess.run(["apt-get", "download", "-qq", "asterisk-core-sounds-en-wav"], cwd=here, check=True)
            subprocess.run(["dpkg", "-x", next(here.glob("*.deb")), sounds], check=True)
        turns, strings = digits(fsdd, out, dice)
        free = meetings(ami, out)
        spoken = prompts(sounds, out)
    for name, rows in (("endpoint.tsv", turns + free + spoken), ("digits.tsv", strings)):
        (out / name).write_text("".join(f"{p}\t{w}\t{kind}\n" for p, w, kind in rows), encoding="utf-8")
    (out / "SOURCES.txt").write_text(__doc__.split("\n\n", 2)[2], encoding="utf-8")
    print(f"{len(turns)} strings of digits with pauses, {len(free)} turns of free speech, {len(spoken)} prompts; "
          f"{len(strings)} strings of digits to recognise")


if __name__ == "__main__":
    main()
