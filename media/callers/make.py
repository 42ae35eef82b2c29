"""Speaks every text of the sample callers and agents, and makes it telephone audio: 8 kHz, 300 to 3,400 Hz, FLAC.

Called by make.sh. What is spoken, by which voice, how fast and over how much noise stands in the TOML files.
"""
import array
import functools
import math
import subprocess
import sys
import tempfile
import tomllib
import wave
from pathlib import Path

HERE = Path(__file__).resolve().parent
TELEPHONE = ["sinc", "300-3400"]
# Silence at both ends goes, a breath of it stays; the peak is left 6 dB below full scale.
TRIM = ["silence", "1", "0.02", "0.4%", "reverse", "silence", "1", "0.02", "0.4%", "reverse"]
FINISH = ["pad", "0.08", "0.12", "gain", "-n", "-6"]


@functools.cache
def kokoro():
    from kokoro import Kokoro  # needs packages that the other voices do not

    return Kokoro()


def run(*args: object, text: str | None = None) -> None:
    subprocess.run([str(a) for a in args], check=True, input=text, text=True, stdout=subprocess.DEVNULL)


def speak(voice: dict, text: str, target: Path) -> None:
    engine, name, speed = voice["engine"], voice["name"], voice.get("speed", 1.0)
    if engine == "flite":
        run("flite", "-voice", name, "--setf", f"duration_stretch={1 / speed}", "-t", text, "-o", target)
    elif engine == "espeak-ng":
        run("espeak-ng", "-v", name, "-s", round(160 * speed), "-w", target, text)
    elif engine == "kokoro":
        kokoro().speak(name, speed, text, target)
    else:
        raise SystemExit(f"unknown engine {engine}")


def telephone(voice: dict, text: str, target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.wav"
        speak(voice, text, raw)
        # -R: the same dither, so the same bytes, on every run.
        run("sox", "-R", raw, "-b", 16, "-c", 1, "-r", 8000, target, *TRIM, *TELEPHONE, *FINISH)
    print(f"{target.name}: {text}")


def rms(path: Path) -> float:
    """Level of the voiced 20 ms of a file."""
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "in.wav"
        run("sox", path, "-b", 16, wav)
        with wave.open(str(wav)) as audio:
            samples = array.array("h", audio.readframes(audio.getnframes()))
    frames = [samples[n:n + 160] for n in range(0, len(samples), 160)]
    energies = [sum(s * s for s in f) / len(f) for f in frames]
    voiced = [e for e in energies if math.sqrt(e) > 200]
    return math.sqrt(sum(voiced) / len(voiced))


def noise(files: list[Path], snr_db: float, target: Path) -> None:
    speech = sum(rms(f) for f in files) / len(files)
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "noise.wav"
        run("sox", "-R", "-n", "-r", 8000, "-c", 1, "-b", 16, raw, "synth", 6, "pinknoise", *TELEPHONE, "gain", "-n", "-12")
        gain = 20 * math.log10(speech / rms(raw)) - snr_db
        run("sox", "-R", raw, "-b", 16, target, "gain", f"{gain:.2f}")
    print(f"{target.relative_to(HERE)}: pink noise, {snr_db} dB below the voice")


def caller(path: Path) -> None:
    script = tomllib.loads(path.read_text(encoding="utf-8"))
    voice, files = script["voice"], []
    for say in script.get("say", []) + script.get("talk", []):
        if "file" in say:
            files.append(path.parent / say["file"])
            telephone(voice, say["text"], files[-1])
    if "noise" in script:
        noise(files, voice["noise_snr_db"], path.parent / script["noise"])


def agent(path: Path) -> None:
    script = tomllib.loads(path.read_text(encoding="utf-8"))
    if "talk" in script:
        telephone(script["voice"], script["text"], path.parent / script["talk"])


def main() -> None:
    wanted = sys.argv[1:]
    for path in sorted(HERE.glob("*/caller.toml")):
        if not wanted or path.parent.name in wanted:
            caller(path)
    for path in sorted(HERE.glob("agents/*.toml")):
        if not wanted or path.stem in wanted:
            agent(path)


if __name__ == "__main__":
    main()
