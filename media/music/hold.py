"""Writes Baton's hold music, a small piece of its own: eight bars in C, soft struck tones over held chords, 80 beats a minute.

The last notes ring on into the beginning, so the 24 seconds loop without a seam. 8 kHz mono 16 bit; everything lies in the
telephone band; the peak is 12 dB below full scale. Released under CC0 1.0.
"""
import array
import math
import sys
import wave

RATE = 8_000
BEAT = 0.75
BARS = 8
LENGTH = int(RATE * BEAT * 4 * BARS)
# One bar each: chord tones as MIDI notes, low to high. C, A minor, F, G; E minor, A minor, D minor, G with its seventh.
CHORDS = [
    (60, 64, 67, 71), (57, 64, 67, 72), (57, 65, 69, 72), (59, 62, 67, 74),
    (59, 64, 67, 71), (57, 64, 69, 72), (57, 62, 65, 72), (59, 65, 67, 74),
]
# Which chord tone is struck on which eighth of the bar; the second half answers the first.
FIGURES = [(0, 1, 2, 3, 2, 1, 2, 3), (0, 2, 1, 3, 2, 3, 1, 2)]
# A slow tune above: bar, beat, note, length in beats.
TUNE = [
    (0, 0, 76, 3), (0, 3, 79, 1), (1, 0, 81, 2), (1, 2, 79, 2), (2, 0, 77, 3), (2, 3, 76, 1), (3, 0, 74, 4),
    (4, 0, 79, 2), (4, 2, 76, 2), (5, 0, 84, 3), (5, 3, 83, 1), (6, 0, 81, 2), (6, 2, 77, 2), (7, 0, 79, 3), (7, 3, 74, 1),
]


def main() -> None:
    mix = [0.0] * LENGTH
    for bar, chord in enumerate(CHORDS):
        start = bar * 4 * BEAT
        for note in chord[1:]:
            add(mix, start, note, 4 * BEAT, 0.05, held)
        for eighth, tone in enumerate(FIGURES[bar % 2]):
            add(mix, start + eighth * BEAT / 2, chord[tone] + 12, 1.6, 0.10 if eighth % 4 else 0.14, struck)
    for bar, beat, note, beats in TUNE:
        add(mix, (bar * 4 + beat) * BEAT, note, beats * BEAT + 0.6, 0.20, sung)
    peak = max(abs(x) for x in mix)
    samples = array.array("h", (round(x / peak * 0.25 * 32767) for x in mix))
    with wave.open(sys.argv[1], "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.tobytes())


def add(mix: list[float], start: float, note: int, seconds: float, level: float, tone) -> None:
    """Adds one note; what rings past the end comes in at the beginning."""
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    first = round(start * RATE)
    for n in range(int(seconds * RATE)):
        mix[(first + n) % LENGTH] += level * tone(hertz, n / RATE, seconds)


def fade(t: float, seconds: float, rise: float, fall: float) -> float:
    return min(1.0, t / rise, max(0.0, (seconds - t) / fall))


def held(hertz: float, t: float, seconds: float) -> float:
    return fade(t, seconds, 0.4, 0.4) * math.sin(2 * math.pi * hertz * t)


def struck(hertz: float, t: float, seconds: float) -> float:
    tone = math.sin(2 * math.pi * hertz * t) + 0.3 * math.exp(-6 * t) * math.sin(4 * math.pi * hertz * t)
    return fade(t, seconds, 0.004, 0.1) * math.exp(-3.2 * t) * tone


def sung(hertz: float, t: float, seconds: float) -> float:
    wobble = 0.0015 * math.sin(2 * math.pi * 4.5 * t) * min(1.0, t)
    tone = math.sin(2 * math.pi * hertz * t) + 0.25 * math.sin(4 * math.pi * hertz * t)
    return fade(t, seconds, 0.06, 0.5) * (1 + 20 * wobble) * tone * math.exp(-0.5 * t)


if __name__ == "__main__":
    main()
