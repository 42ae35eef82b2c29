//! The voice: a pool of synthesizers, clauses in order, and a cache keyed by voice and words, in memory and on disk. What is
//! said in every call is synthesized once.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::SystemTime;

use baton_audio::{Clip, RATE, load_clip, write_wav};
use tracing::{debug, error, warn};

use crate::text::{self, clauses, speakable};
use crate::{Spoken, Synthesizer, TtsError};

/// Clips kept in memory; the oldest go first.
const KEPT: usize = 2_000;
/// Clips kept on disk; the oldest are removed at start.
const KEPT_ON_DISK: usize = 4_000;
/// Telephone speech is levelled to this, RMS of its voiced part: -20 dBov, which is -14 dBm0, loud for a voice (ITU-T G.169 has
/// -20 dBm0 for people) as announcements are. Peaks stay below the ceiling, 2 dB under full scale (32,768).
const LEVEL: f32 = 3_300.0;
const CEILING: f32 = 26_000.0;

struct Job {
    clauses: VecDeque<(usize, String)>,
    out: Box<dyn FnMut(Spoken) + Send>,
}

#[derive(Default)]
struct Work {
    speak: VecDeque<Job>,
    preload: VecDeque<String>,
    busy: usize,
}

struct Cache {
    clips: HashMap<String, Clip>,
    order: VecDeque<String>,
}

pub(crate) struct Voice {
    work: Mutex<Work>,
    wake: Condvar,
    cache: Mutex<Cache>,
    dir: Option<PathBuf>,
    voice: String,
}

impl Voice {
    pub fn start(engines: Vec<Box<dyn Synthesizer>>, voice: String, dir: Option<PathBuf>) -> Arc<Self> {
        let dir = dir.filter(|dir| match std::fs::create_dir_all(dir) {
            Ok(()) => true,
            Err(e) => {
                warn!(dir = %dir.display(), error = %e, "spoken prompts cannot be kept on disk; they are kept in memory");
                false
            }
        });
        if let Some(dir) = &dir {
            prune(dir);
        }
        let cache = Mutex::new(Cache { clips: HashMap::new(), order: VecDeque::new() });
        let this = Arc::new(Self { work: Mutex::default(), wake: Condvar::new(), cache, dir, voice });
        for (n, engine) in engines.into_iter().enumerate() {
            let voice = Arc::clone(&this);
            if let Err(e) = thread::Builder::new().name(format!("tts-{n}")).spawn(move || voice.run(engine)) {
                error!(error = %e, "a text-to-speech thread did not start");
            }
        }
        this
    }

    pub fn speak(&self, text: &str, mut out: Box<dyn FnMut(Spoken) + Send>) {
        let mut rest: VecDeque<(usize, String)> = clauses(text).into_iter().enumerate().collect();
        // What is known is delivered here and now.
        while let Some((index, clause)) = rest.front() {
            let Some(clip) = self.known(clause) else { break };
            out(Spoken::Clip { index: *index, text: clause.clone(), clip });
            rest.pop_front();
        }
        if rest.is_empty() {
            return out(Spoken::Done);
        }
        lock(&self.work).speak.push_back(Job { clauses: rest, out });
        self.wake.notify_one();
    }

    pub fn preload(&self, texts: &[String]) {
        lock(&self.work).preload.extend(texts.iter().flat_map(|t| clauses(t)));
        self.wake.notify_all();
    }

    pub fn is_idle(&self) -> bool {
        let work = lock(&self.work);
        work.busy == 0 && work.preload.is_empty() && work.speak.is_empty()
    }

    fn run(&self, mut engine: Box<dyn Synthesizer>) {
        loop {
            let mut work = lock(&self.work);
            let job = loop {
                if let Some(job) = work.speak.pop_front() {
                    break Ok(job);
                }
                if let Some(clause) = work.preload.pop_front() {
                    break Err(clause);
                }
                work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
            };
            work.busy += 1;
            drop(work);
            match job {
                Ok(mut job) => {
                    if let Some((index, clause)) = job.clauses.pop_front() {
                        let spoken = match self.clip(engine.as_mut(), &clause, false) {
                            Ok(clip) => Spoken::Clip { index, text: clause, clip },
                            Err(e) => {
                                job.clauses.clear();
                                Spoken::Failed(e)
                            }
                        };
                        let failed = matches!(spoken, Spoken::Failed(_));
                        (job.out)(spoken);
                        // The next clause goes behind other callers' first ones: everybody starts soon.
                        if !job.clauses.is_empty() {
                            lock(&self.work).speak.push_back(job);
                            self.wake.notify_one();
                        } else if !failed {
                            (job.out)(Spoken::Done);
                        }
                    }
                }
                Err(clause) => {
                    if let Err(e) = self.clip(engine.as_mut(), &clause, true) {
                        warn!(clause, error = %e, "a prompt could not be prepared");
                    }
                }
            }
            lock(&self.work).busy -= 1;
        }
    }

    /// `prompt`: it is the same in every call. Only that goes to disk: what is said in one call tells of its caller.
    fn clip(&self, engine: &mut dyn Synthesizer, clause: &str, prompt: bool) -> Result<Clip, TtsError> {
        if let Some(clip) = self.known(clause) {
            return Ok(clip);
        }
        let words = speakable(clause);
        let clip = match catch_unwind(AssertUnwindSafe(|| engine.synthesize(&words))) {
            Ok(clip) => clip?,
            Err(_) => {
                let again = catch_unwind(AssertUnwindSafe(|| engine.restart()));
                let works = matches!(again, Ok(Ok(())));
                error!(works, "a text-to-speech engine panicked and was started anew");
                return Err(TtsError::Engine("the engine panicked".into()));
            }
        };
        let clip = levelled(&clip);
        if engine.is_substitute() {
            return Ok(clip);
        }
        if let Some(file) = self.file(clause).filter(|_| prompt)
            && let Err(e) = keep_on_disk(&file, &clip)
        {
            debug!(file = %file.display(), error = %e, "a clip was not kept on disk");
        }
        self.keep(clause, &clip);
        Ok(clip)
    }

    fn known(&self, clause: &str) -> Option<Clip> {
        if let Some(clip) = lock(&self.cache).clips.get(clause) {
            return Some(clip.clone());
        }
        let clip = load_clip(self.file(clause).filter(|f| f.exists())?).ok()?;
        self.keep(clause, &clip);
        Some(clip)
    }

    fn keep(&self, clause: &str, clip: &Clip) {
        let mut cache = lock(&self.cache);
        if cache.clips.insert(clause.to_owned(), clip.clone()).is_none() {
            cache.order.push_back(clause.to_owned());
        }
        while cache.order.len() > KEPT {
            if let Some(oldest) = cache.order.pop_front() {
                cache.clips.remove(&oldest);
            }
        }
    }

    fn file(&self, clause: &str) -> Option<PathBuf> {
        // FNV-1a: stable over builds, and a collision only plays a wrong clip of our own. The version is part of it: what was
        // spoken before the words or the level changed is not played again.
        let hash = self
            .voice
            .bytes()
            .chain([0])
            .chain(text::VERSION.to_le_bytes())
            .chain(clause.bytes())
            .fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        Some(self.dir.as_ref()?.join(format!("{hash:016x}.wav")))
    }
}

/// Under a passing name first: a file under its final name is whole.
fn keep_on_disk(file: &Path, clip: &Clip) -> io::Result<()> {
    let passing = file.with_extension("new");
    write_wav(&passing, clip.samples(), RATE)?;
    fs::rename(&passing, file)
}

/// Removes the oldest clips beyond what is kept.
fn prune(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    let clips = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "wav" || e == "new"));
    let mut clips: Vec<(SystemTime, PathBuf)> =
        clips.filter_map(|p| Some((fs::metadata(&p).ok()?.modified().ok()?, p))).collect();
    clips.sort();
    for (_, path) in clips.iter().take(clips.len().saturating_sub(KEPT_ON_DISK)) {
        if let Err(e) = fs::remove_file(path) {
            debug!(file = %path.display(), error = %e, "an old clip was not removed");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One loudness for every clip, and no silence before its first sound: the first packet is to be heard.
fn levelled(clip: &Clip) -> Clip {
    let pcm = clip.samples();
    let loud = |frame: &[i16]| frame.iter().any(|s| s.unsigned_abs() > 260);
    let first = pcm.chunks(80).position(loud).unwrap_or(0).saturating_sub(1) * 80;
    let last = pcm.chunks(80).rposition(loud).map_or(pcm.len(), |i| ((i + 12) * 80).min(pcm.len()));
    let pcm = &pcm[first.min(last)..last];
    let frame_rms = |f: &[i16]| (f.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / f.len().max(1) as f32).sqrt();
    let voiced: Vec<f32> = pcm.chunks(160).map(frame_rms).filter(|r| *r > 300.0).collect();
    if voiced.is_empty() {
        return Clip::new(pcm.to_vec());
    }
    let rms = (voiced.iter().map(|r| r * r).sum::<f32>() / voiced.len() as f32).sqrt();
    let peak = pcm.iter().map(|s| f32::from(s.unsigned_abs())).fold(1.0, f32::max);
    let gain = (LEVEL / rms).min(CEILING / peak);
    Clip::new(pcm.iter().map(|s| (f32::from(*s) * gain) as i16).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rms(pcm: &[i16]) -> f32 {
        (pcm.iter().map(|s| f32::from(*s).powi(2)).sum::<f32>() / pcm.len().max(1) as f32).sqrt()
    }

    #[test]
    fn soft_and_loud_voices_come_out_at_one_level_without_clipping_or_leading_silence() {
        for amplitude in [900.0, 6_000.0, 31_000.0] {
            let tone = (0..8_000).map(|i| ((i as f32 * 0.3).sin() * amplitude) as i16);
            let clip =
                Clip::new(std::iter::repeat_n(0, 4_000).chain(tone).chain(std::iter::repeat_n(0, 8_000)).collect());
            let out = levelled(&clip);
            let db = 20.0 * (rms(&out.samples()[200..7_000]) / 32_768.0).log10();
            assert!((-21.0..-19.0).contains(&db), "{amplitude}: {db} dBov");
            assert!(out.samples().iter().all(|s| f32::from(s.unsigned_abs()) <= CEILING + 1.0));
            assert!(out.samples()[..240].iter().any(|s| s.unsigned_abs() > 260), "it begins at once");
            assert!(out.len() < 10_000, "and ends soon after: {}", out.len());
        }
        assert!(levelled(&Clip::new(vec![0; 800])).samples().iter().all(|s| *s == 0));
    }

    #[test]
    fn the_key_depends_on_voice_and_words_and_old_clips_go() {
        let dir = std::env::temp_dir().join(format!("baton-prune-{}", std::process::id()));
        let voice = |name: &str| Voice::start(Vec::new(), name.into(), Some(dir.clone()));
        let (a, b) = (voice("a"), voice("b"));
        assert_ne!(a.file("yes"), b.file("yes"));
        assert_ne!(a.file("yes"), a.file("no"));
        assert_eq!(a.file("yes"), voice("a").file("yes"));
        for n in 0..KEPT_ON_DISK + 3 {
            fs::write(dir.join(format!("{n}.wav")), b"x").unwrap();
        }
        fs::write(dir.join("notes.txt"), b"not ours").unwrap();
        prune(&dir);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), KEPT_ON_DISK + 1);
        fs::remove_dir_all(dir).unwrap();
    }
}
