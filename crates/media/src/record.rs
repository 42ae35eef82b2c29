//! Recordings: a thread of its own takes 20 ms frames from rings and writes Opus in Ogg (RFC 7845), stereo, 32 kbit/s. The
//! media thread only fills the ring; a slow or full disk costs the recording, never the call.
//!
//! A file is playable whatever happens: it is written in pages of a second as the call goes on.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use baton_audio::{FRAME_SAMPLES, RATE};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use rtrb::{Consumer, Producer, RingBuffer};

/// 20 ms of a recording, at 8 kHz.
#[derive(Clone, Copy, Debug)]
pub struct StereoFrame {
    /// What the leg's peer said.
    pub left: [i16; FRAME_SAMPLES],
    /// What it was sent.
    pub right: [i16; FRAME_SAMPLES],
}

impl StereoFrame {
    /// Nothing on either side.
    pub const SILENCE: Self = Self { left: [0; FRAME_SAMPLES], right: [0; FRAME_SAMPLES] };
}

/// Why a recording did not begin.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be made; one that exists is not overwritten.
    #[error("cannot make {path}: {cause}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// libopus refuses.
    #[error(transparent)]
    Codec(#[from] baton_opus::OpusError),
    /// The recorder's thread has ended.
    #[error("the recorder has ended")]
    Ended,
}

/// A recording that ended, and how.
#[derive(Debug)]
pub struct Recorded {
    /// The file.
    pub path: PathBuf,
    /// How long it is.
    pub duration: Duration,
    /// What kept it from being whole: the disk was full, say. What was written until then is there.
    pub fault: Option<io::Error>,
}

/// Frames that may wait: 5 s of a disk that does not answer.
const RING: usize = 256;
/// Between two looks at the rings.
const LOOK: Duration = Duration::from_millis(200);
/// Frames in a page: a second.
const PAGE: u64 = 50;
/// Opus counts time at 48 kHz: 20 ms.
const GRANULE: u64 = 960;

/// Writes recordings on a thread of its own, which ends, with all files whole, when this is dropped.
#[derive(Debug)]
pub struct Recorder {
    begin: Option<Sender<Recording>>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the thread. `ended` is called on it for each recording that ends.
    pub fn start(ended: impl FnMut(Recorded) + Send + 'static) -> io::Result<Self> {
        let (begin, begun) = mpsc::channel();
        let thread = std::thread::Builder::new().name("baton-recorder".into()).spawn(move || run(&begun, ended))?;
        Ok(Self { begin: Some(begin), thread: Some(thread) })
    }

    /// Begins a recording into a new file, readable by its owner alone. What comes back goes to the media plane with
    /// [`MediaCommand::Record`](crate::MediaCommand::Record); the recording ends when that end of the ring is dropped.
    pub fn record(&self, path: &Path) -> Result<Producer<StereoFrame>, RecordError> {
        let fault = |cause| RecordError::File { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(fault)?;
        let encoder = baton_opus::Encoder::recording(RATE)?;
        let (to, from) = RingBuffer::new(RING);
        let mut recording = Recording::new(path, file, encoder, from);
        recording.head().map_err(fault)?;
        let begin = self.begin.as_ref().ok_or(RecordError::Ended)?;
        begin.send(recording).map_err(|_| RecordError::Ended)?;
        Ok(to)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        drop(self.begin.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(begun: &Receiver<Recording>, mut ended: impl FnMut(Recorded)) {
    let mut recordings: Vec<Recording> = Vec::new();
    loop {
        let last = match begun.recv_timeout(LOOK) {
            Ok(recording) => {
                recordings.push(recording);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        recordings.retain_mut(|recording| {
            // Asked before the ring is emptied: what was put in before the other end was dropped is still taken.
            let over = recording.from.is_abandoned() || last;
            recording.drain();
            if over {
                ended(recording.finish());
            }
            !over
        });
        if last {
            return;
        }
    }
}

struct Recording {
    path: PathBuf,
    writer: PacketWriter<'static, BufWriter<File>>,
    encoder: baton_opus::Encoder,
    from: Consumer<StereoFrame>,
    serial: u32,
    frames: u64,
    skip: u64,
    /// The newest packet, held back: the last one of a stream says so.
    held: Option<Vec<u8>>,
    fault: Option<io::Error>,
}

impl Recording {
    fn new(path: &Path, file: File, encoder: baton_opus::Encoder, from: Consumer<StereoFrame>) -> Self {
        let serial = crate::sys::random()[0] as u32;
        let writer = PacketWriter::new(BufWriter::new(file));
        let path = path.to_owned();
        Self { path, writer, encoder, from, serial, frames: 0, skip: 0, held: None, fault: None }
    }

    /// The two header packets (RFC 7845 §5).
    fn head(&mut self) -> io::Result<()> {
        self.skip = u64::from(self.encoder.lookahead()) * 48_000 / u64::from(RATE);
        let mut head = b"OpusHead\x01\x02".to_vec();
        head.extend((self.skip as u16).to_le_bytes());
        head.extend(RATE.to_le_bytes());
        head.extend([0, 0, 0]); // gain, channel mapping: left and right
        let mut tags = b"OpusTags".to_vec();
        tags.extend(5u32.to_le_bytes());
        tags.extend(b"Baton");
        tags.extend(0u32.to_le_bytes());
        for packet in [head, tags] {
            self.writer.write_packet(packet, self.serial, PacketWriteEndInfo::EndPage, 0)?;
        }
        Ok(())
    }

    fn drain(&mut self) {
        while let Ok(frame) = self.from.pop() {
            if self.fault.is_none()
                && let Err(fault) = self.write(&frame)
            {
                self.fault = Some(fault); // the rest is taken and thrown away: the ring must not fill
            }
        }
        if self.fault.is_none() {
            self.fault = self.writer.inner_mut().flush().err();
        }
    }

    fn write(&mut self, frame: &StereoFrame) -> io::Result<()> {
        let mut pcm = [0i16; 2 * FRAME_SAMPLES];
        for (pair, (left, right)) in pcm.chunks_exact_mut(2).zip(frame.left.iter().zip(&frame.right)) {
            pair.copy_from_slice(&[*left, *right]);
        }
        let mut packet = [0; 1_275];
        let length = self.encoder.encode(&pcm, &mut packet);
        let packet = packet.get(..length).unwrap_or_default().to_vec();
        if let Some(held) = self.held.replace(packet) {
            self.frames += 1;
            let page = self.frames.is_multiple_of(PAGE);
            let end = if page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
            self.writer.write_packet(held, self.serial, end, self.skip + self.frames * GRANULE)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Recorded {
        let frames = self.frames + u64::from(self.held.is_some());
        let last = self.held.take().unwrap_or_default();
        if self.fault.is_none() {
            let written = self
                .writer
                .write_packet(last, self.serial, PacketWriteEndInfo::EndStream, self.skip + frames * GRANULE)
                .and_then(|()| self.writer.inner_mut().flush())
                .and_then(|()| self.writer.inner_mut().get_mut().sync_all());
            self.fault = written.err();
        }
        let duration = Duration::from_millis(frames * 20);
        Recorded { path: std::mem::take(&mut self.path), duration, fault: self.fault.take() }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
