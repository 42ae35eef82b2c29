//! Recordings read back by the Ogg reader and the Opus decoder.

use ogg::PacketReader;

use super::*;

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("baton-record-{}-{name}", std::process::id()))
}

fn recorder() -> (Recorder, Receiver<Recorded>) {
    let (told, ended) = mpsc::channel();
    (Recorder::start(move |recorded| drop(told.send(recorded))).unwrap(), ended)
}

fn frame(n: usize) -> StereoFrame {
    let wave = |i: usize, hz: f32| ((i as f32 * hz * std::f32::consts::TAU / 8_000.0).sin() * 8_000.0) as i16;
    StereoFrame {
        left: std::array::from_fn(|i| wave(n * 160 + i, 440.0)),
        right: std::array::from_fn(|i| wave(n * 160 + i, 1_000.0) / 4),
    }
}

fn level(pcm: &[i16], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (i, sample) in pcm.iter().enumerate() {
        let angle = i as f32 * hz * std::f32::consts::TAU / 8_000.0;
        (re, im) = (re + f32::from(*sample) * angle.cos(), im + f32::from(*sample) * angle.sin());
    }
    (re * re + im * im).sqrt() * 2.0 / pcm.len() as f32
}

#[test]
fn a_recording_reads_back_with_its_sides_apart_and_is_the_owners_alone() {
    let path = scratch("both-sides.opus");
    let (recorder, ended) = recorder();
    let mut to = recorder.record(&path).unwrap();
    assert!(matches!(recorder.record(&path), Err(RecordError::File { .. })), "nothing is overwritten");
    for n in 0..250 {
        let mut waiting = frame(n);
        while let Err(rtrb::PushError::Full(back)) = to.push(waiting) {
            waiting = back;
            std::thread::yield_now();
        }
    }
    drop(to);
    let recorded = ended.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(recorded.fault.is_none(), "{recorded:?}");
    assert_eq!((recorded.duration, &recorded.path), (Duration::from_secs(5), &path));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    let mut reader = PacketReader::new(File::open(&path).unwrap());
    let head = reader.read_packet().unwrap().unwrap();
    assert_eq!((&head.data[..8], head.data[9]), (&b"OpusHead"[..], 2));
    assert_eq!(&reader.read_packet().unwrap().unwrap().data[..8], b"OpusTags");
    let mut decoder = baton_opus::Decoder::new(RATE, true).unwrap();
    let (mut left, mut right, mut last) = (Vec::new(), Vec::new(), None);
    while let Some(packet) = reader.read_packet().unwrap() {
        let mut pcm = [0; 2 * FRAME_SAMPLES];
        assert_eq!(decoder.decode(&packet.data, &mut pcm), FRAME_SAMPLES);
        left.extend(pcm.iter().step_by(2));
        right.extend(pcm.iter().skip(1).step_by(2));
        last = Some((packet.last_in_stream(), packet.absgp_page()));
    }
    let skip = u64::from(u16::from_le_bytes([head.data[10], head.data[11]]));
    assert_eq!(last, Some((true, 250 * GRANULE + skip)));
    assert_eq!(left.len(), 250 * FRAME_SAMPLES);
    let (left, right) = (&left[8_000..24_000], &right[8_000..24_000]);
    assert!((6_500.0..9_000.0).contains(&level(left, 440.0)) && level(left, 1_000.0) < 400.0);
    assert!((1_500.0..2_500.0).contains(&level(right, 1_000.0)) && level(right, 440.0) < 400.0);
    std::fs::remove_file(&path).unwrap();
}

/// `/dev/full` takes nothing, as a full disk does.
#[test]
fn a_full_disk_ends_the_recording_and_the_ring_is_still_emptied() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (mut to, from) = RingBuffer::new(64);
    let encoder = baton_opus::Encoder::recording(RATE).unwrap();
    let mut recording = Recording::new(Path::new("/dev/full"), full, encoder, from);
    let _ = recording.head();
    for n in 0..20 {
        for k in 0..50 {
            assert!(to.push(frame(n * 50 + k)).is_ok(), "there is always room");
        }
        recording.drain();
    }
    let recorded = recording.finish();
    assert_eq!(recorded.fault.map(|fault| fault.kind()), Some(io::ErrorKind::StorageFull));
}

#[test]
fn ending_the_recorder_ends_what_is_recorded() {
    let path = scratch("cut-short.opus");
    let (recorder, ended) = recorder();
    let mut to = recorder.record(&path).unwrap();
    (0..10).for_each(|n| assert!(to.push(frame(n)).is_ok()));
    drop(recorder);
    let recorded = ended.recv_timeout(Duration::from_secs(20)).unwrap();
    assert_eq!(recorded.duration, Duration::from_millis(200));
    std::fs::remove_file(&path).unwrap();
}
