//! Audio files in (symphonia: WAV, FLAC, MP3, OGG Vorbis) and out (WAV). Whole files: decoded at load, resampled once.

use std::fs::File;
use std::io::{self, Cursor, Write};
use std::path::Path;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::MetadataOptions;

use crate::{Clip, RATE, resample_f32};

/// Why a file could not become audio.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
    /// It is of no format we decode.
    #[error("not WAV, FLAC, MP3 or OGG Vorbis: {0}")]
    Format(#[from] SymphoniaError),
    /// It holds no audio.
    #[error("it holds no audio")]
    Empty,
}

/// Reads a file of any rate and channel count as a mono clip at [`RATE`].
pub fn load_clip(path: impl AsRef<Path>) -> Result<Clip, LoadError> {
    let (pcm, rate) = read_audio(path)?;
    clip_of(&pcm, rate)
}

/// The same from memory; `extension` (such as `"wav"`) helps to find the format.
pub fn decode_clip(bytes: impl AsRef<[u8]> + Send + Sync + 'static, extension: &str) -> Result<Clip, LoadError> {
    let (pcm, rate) = decode(Box::new(Cursor::new(bytes)), extension)?;
    clip_of(&pcm, rate)
}

/// Reads a file as mono samples (full scale ±1) and their rate in Hz, channels averaged.
pub fn read_audio(path: impl AsRef<Path>) -> Result<(Vec<f32>, u32), LoadError> {
    let path = path.as_ref();
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    decode(Box::new(File::open(path)?), extension)
}

/// Writes mono 16-bit PCM as a WAV file.
pub fn write_wav(path: impl AsRef<Path>, pcm: &[i16], rate: u32) -> io::Result<()> {
    let bytes = u32::try_from(pcm.len() * 2)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "too long for a WAV file"))?;
    let mut out = Vec::with_capacity(44 + pcm.len() * 2);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&(36 + bytes).to_le_bytes());
    out.extend_from_slice(b"WAVEfmt ");
    out.extend_from_slice(&16u32.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes()); // PCM
    out.extend_from_slice(&1u16.to_le_bytes()); // mono
    out.extend_from_slice(&rate.to_le_bytes());
    out.extend_from_slice(&(rate * 2).to_le_bytes());
    out.extend_from_slice(&2u16.to_le_bytes());
    out.extend_from_slice(&16u16.to_le_bytes());
    out.extend_from_slice(b"data");
    out.extend_from_slice(&bytes.to_le_bytes());
    for sample in pcm {
        out.extend_from_slice(&sample.to_le_bytes());
    }
    File::create(path)?.write_all(&out)
}

fn clip_of(pcm: &[f32], rate: u32) -> Result<Clip, LoadError> {
    let pcm = resample_f32(pcm, rate, RATE);
    if pcm.is_empty() {
        return Err(LoadError::Empty);
    }
    Ok(Clip::new(pcm.into_iter().map(|s| (s * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16).collect()))
}

fn decode(source: Box<dyn MediaSource>, extension: &str) -> Result<(Vec<f32>, u32), LoadError> {
    let stream = MediaSourceStream::new(source, Default::default());
    let mut hint = Hint::new();
    hint.with_extension(extension);
    let mut format =
        symphonia::default::get_probe().probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())?;
    let track = format.default_track(TrackType::Audio).ok_or(LoadError::Empty)?;
    let id = track.id;
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or(LoadError::Empty)?;
    let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default())?;
    let (mut mono, mut rate, mut interleaved) = (Vec::new(), 0, Vec::<f32>::new());
    while let Some(packet) = format.next_packet()? {
        if packet.track_id != id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(audio) => {
                rate = audio.spec().rate();
                let channels = audio.spec().channels().count().max(1);
                audio.copy_to_vec_interleaved(&mut interleaved);
                mono.extend(interleaved.chunks(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32));
            }
            Err(SymphoniaError::DecodeError(_)) => {} // a damaged packet costs itself only
            Err(e) => return Err(e.into()),
        }
    }
    if mono.is_empty() || rate == 0 { Err(LoadError::Empty) } else { Ok((mono, rate)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("baton-audio-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_written_file_reads_back_sample_for_sample() {
        let path = scratch("round-trip.wav");
        let pcm: Vec<i16> = (0..4_000).map(|i| (i * 13 % 20_000 - 10_000) as i16).collect();
        write_wav(&path, &pcm, RATE).unwrap();
        let clip = load_clip(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(clip.len(), pcm.len());
        assert!(clip.samples().iter().zip(&pcm).all(|(a, b)| (a - b).abs() <= 1));
    }

    #[test]
    fn another_rate_becomes_8_khz() {
        let path = scratch("rate.wav");
        write_wav(&path, &vec![1_000; 44_100], 44_100).unwrap();
        let clip = load_clip(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(clip.duration().as_millis(), 1_000);
    }

    #[test]
    fn what_is_no_audio_says_so() {
        let path = scratch("no-audio.wav");
        std::fs::write(&path, b"this is a letter, not a recording").unwrap();
        let error = load_clip(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(error, LoadError::Format(_)), "{error}");
        assert!(matches!(load_clip("/nonexistent.wav"), Err(LoadError::Io(_))));
    }
}
