"""The features of recordings as Praat sees them: the reference of tests/praat.rs. One JSON object a line.

usage: praat.py FILE.wav...   (needs praat-parselmouth, which is Praat itself, and numpy)
"""
import json
import sys

import numpy as np
import parselmouth
from parselmouth.praat import call


def nuclei(sound):
    """Syllable nuclei as N. de Jong and T. Wempe (2009) count them."""
    intensity = sound.to_intensity(minimum_pitch=50, subtract_mean=True)
    low, high = call(intensity, "Get minimum", 0, 0, "Parabolic"), call(intensity, "Get quantile", 0, 0, 0.99)
    threshold = max(high - 25, low)
    times, values = intensity.xs(), intensity.values[0]
    tops = [
        i for i in range(1, len(values) - 1)
        if values[i - 1] < values[i] >= values[i + 1] and values[i] > threshold
    ]
    pitch = sound.to_pitch_ac(
        time_step=0.02, pitch_floor=75, voicing_threshold=0.25, voiced_unvoiced_cost=0.25, pitch_ceiling=600
    )
    kept = []
    for i, after in zip(tops, tops[1:] + [len(values) - 1]):
        dip = values[i] - values[i:after + 1].min()
        if dip > 2 and not np.isnan(pitch.get_value_at_time(times[i])):
            kept.append(i)
    return len(kept)


def sounding(sound):
    """The speech without its pauses, one piece after the other, and how many pauses lie between."""
    grid = call(sound, "To TextGrid (silences)", 75, 0.0, -25, 0.2, 0.05, "silent", "sounding")
    count = call(grid, "Get number of intervals", 1)
    parts = []
    for i in range(1, count + 1):
        if call(grid, "Get label of interval", 1, i) == "sounding":
            start, end = call(grid, "Get start time of interval", 1, i), call(grid, "Get end time of interval", 1, i)
            parts.append(sound.extract_part(start, end))
    return parts


def measure(path):
    sound = parselmouth.Sound(path)
    # In two passes, as D. Hirst (2011) does: the second keeps to the speaker's range.
    track = sound.to_pitch_ac(time_step=0.01, pitch_floor=75, pitch_ceiling=600).selected_array
    wide, strength = track["frequency"][track["frequency"] > 0], track["strength"][track["frequency"] > 0]
    floor, ceiling = 0.75 * np.quantile(wide, 0.25), 1.5 * np.quantile(wide, 0.75)
    pitch = sound.to_pitch_ac(time_step=0.01, pitch_floor=max(75, floor), pitch_ceiling=min(600, ceiling))
    f0 = pitch.selected_array["frequency"]
    voiced = f0 > 0
    tones = 12 * np.log2(f0[voiced] / 100)
    points = call([sound, pitch], "To PointProcess (cc)")
    parts = sounding(sound)
    speech = np.concatenate([part.values[0] for part in parts])
    # The voiced frames, Hann-windowed as in any short-term analysis; Praat's own frames, another transform.
    rate, half = sound.sampling_frequency, int(0.02 * sound.sampling_frequency)
    window, samples = np.hanning(2 * half), sound.values[0]
    power = np.zeros(1025)
    for time in pitch.xs()[voiced]:
        middle = int(round(time * rate))
        frame = samples[max(middle - half, 0):middle + half]
        if len(frame) == 2 * half:
            power += np.abs(np.fft.rfft((frame - frame.mean()) * window, 2048)) ** 2
    hz = np.arange(1025) * rate / 2048
    db = 10 * np.log10(np.maximum(power, power.sum() * 1e-10))

    def band(low, high):
        return (hz >= low) & (hz < high)

    def slope(low, high):
        return np.polyfit(hz[band(low, high)] / 1000, db[band(low, high)], 1)[0]

    return {
        "file": path,
        "voiced_s": float(voiced.sum() * 0.01),
        "f0_hz": float(np.median(f0[voiced])),
        "f0_sd_st": float(tones.std()),
        "f0_range_st": float(np.quantile(tones, 0.8) - np.quantile(tones, 0.2)),
        "hnr_db": float(np.mean(10 * np.log10(strength / np.maximum(1 - strength, 1e-6)))),
        "jitter": call(points, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3),
        "shimmer_db": call([sound, points], "Get shimmer (local_dB)", 0, 0, 0.0001, 0.02, 1.3, 1.6),
        "level_dbov": float(10 * np.log10(np.mean(speech**2))),
        "alpha_db": float(10 * np.log10(power[band(1000, 3400)].sum() / power[band(300, 1000)].sum())),
        "hammarberg_db": float(db[band(300, 2000)].max() - db[band(2000, 3400)].max()),
        "slope_low_db_khz": float(slope(500, 1500)),
        "slope_high_db_khz": float(slope(1500, 3400)),
        "rate_hz": nuclei(sound) / (len(speech) / rate),
        "pauses": len(parts) - 1,
    }


for name in sys.argv[1:]:
    print(json.dumps(measure(name)))
