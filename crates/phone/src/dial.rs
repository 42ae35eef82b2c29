//! `baton dial`: one call from the command line or a test. It plays a file, presses digits, records, and reports.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::call::{Call, CallEvent, InviteOptions};
use crate::heard::RtpStats;
use crate::media::{Media, PlayId};
use crate::message;
use crate::ua::{Phone, PhoneConfig, PhoneError};

/// One call to place.
#[derive(Clone, Debug)]
pub struct Dial {
    /// `sip:USER@IPV4[:PORT]`.
    pub uri: String,
    /// Our URI, `sip:USER@HOST`; `sip:dial@` and the local address when `None`.
    pub from: Option<String>,
    /// File to play once the call is answered: WAV, FLAC, MP3 or OGG of any rate.
    pub play: Option<PathBuf>,
    /// WAV file for what is heard, 8 kHz, from the answer on.
    pub record: Option<PathBuf>,
    /// Digits to press after the file; a comma is a pause of one second.
    pub dtmf: Option<String>,
    /// Print the report as JSON; for the command line, unused here.
    pub json: bool,
    /// Hang up after so long, counted from the INVITE. Without it: once everything is sent and the other side has been
    /// silent for three seconds, or after ten minutes.
    pub max_duration: Option<Duration>,
}

/// What became of the call. Times in ms since the INVITE was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialReport {
    /// Call-ID.
    pub call_id: String,
    /// The moment of the INVITE, RFC 3339.
    pub started_at: String,
    /// Final SIP status; 200 when it was answered.
    pub code: u16,
    /// Provisional statuses with their times.
    pub progress: Vec<(u16, u64)>,
    /// First 180 or 183.
    pub ringing_ms: Option<u64>,
    /// 2xx.
    pub answered_ms: Option<u64>,
    /// First RTP packet heard.
    pub first_packet_ms: Option<u64>,
    /// First packet heard that holds sound.
    pub first_voiced_ms: Option<u64>,
    /// Spells of sound heard, start and end.
    pub heard_ms: Vec<(u64, u64)>,
    /// End of the sound in the file played.
    pub played_until_ms: Option<u64>,
    /// First packet with sound after that end.
    pub reply_ms: Option<u64>,
    /// Digits heard.
    pub digits: String,
    /// End of the call.
    pub ended_ms: u64,
    /// Who ended it.
    pub ended_by: EndedBy,
    /// Reason header of the other side's BYE.
    pub reason: Option<String>,
    /// RTP counters.
    pub rtp: RtpStats,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Us.
    #[default]
    Us,
    /// The other side.
    Them,
    /// It was never answered.
    Nobody,
}

/// Why no call was placed, or its recording not kept.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// SIP or sockets.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// The file to play.
    #[error("{path}: {source}")]
    Play {
        /// Which.
        path: PathBuf,
        /// Why.
        source: baton_audio::LoadError,
    },
    /// The file to write.
    #[error("{path}: {source}")]
    Record {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

const SETTLE: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(600);

/// Places the call and returns when it is over. A call that is refused is a report, not an error.
pub async fn dial(options: Dial) -> Result<DialReport, DialError> {
    let clip = match &options.play {
        Some(path) => {
            let load = baton_audio::load_clip(path);
            Some(load.map_err(|source| DialError::Play { path: path.clone(), source })?)
        }
        None => None,
    };
    let peer = message::addr_of(&options.uri).ok_or_else(|| PhoneError::Uri(options.uri.clone()))?;
    let user = options.from.as_deref().and_then(message::user_of).unwrap_or_else(|| "dial".into());
    let phone = Phone::open(PhoneConfig::new(SocketAddr::new(local_ip_towards(peer), 0), &user)).await?;
    let mut call =
        phone.invite(InviteOptions { uri: options.uri.clone(), from: options.from.clone(), ..Default::default() })?;
    let mut report = DialReport {
        call_id: call.call_id().to_owned(),
        started_at: jiff::Timestamp::now().to_string(),
        ended_by: EndedBy::Nobody,
        ..Default::default()
    };
    let deadline = tokio::time::Instant::now() + options.max_duration.unwrap_or(LONGEST);

    let ended = if let Some(answered) = ring(&mut call, &mut report, deadline).await {
        let media = call.media().clone();
        let clip = clip.map(|c| media.play(c.samples().into()));
        let talk = async {
            send_digits(&media, options.dtmf.as_deref().unwrap_or("")).await;
            match options.max_duration {
                Some(_) => std::future::pending().await,
                None => settle(&media, answered).await,
            }
        };
        let over = tokio::time::timeout_at(deadline, talk);
        let ended = tokio::select! {
            (at, reason) = ended(&mut call) => {
                (report.ended_by, report.reason) = (EndedBy::Them, reason);
                at
            }
            _ = over => {
                report.ended_by = EndedBy::Us;
                Instant::now()
            }
        };
        call.hang_up();
        fill(&mut report, call.invited, answered, &media, clip);
        if let Some(path) = &options.record {
            let heard = media.heard();
            let write = baton_audio::write_wav(path, heard.since(answered), baton_audio::RATE);
            write.map_err(|source| DialError::Record { path: path.clone(), source })?;
        }
        ended
    } else {
        call.hang_up();
        Instant::now()
    };
    report.ended_ms = ms(call.invited, ended);
    if report.ended_by == EndedBy::Us {
        // The BYE or CANCEL must be answered, or repeated, before the port closes.
        let known = |event| matches!(event, None | Some(CallEvent::HungUp { .. } | CallEvent::Failed { .. }));
        let _ = tokio::time::timeout(SETTLE, async { while !known(call.event().await) {} }).await;
    }
    Ok(report)
}

/// The local address that packets to `peer` leave from.
pub fn local_ip_towards(peer: SocketAddr) -> IpAddr {
    let probe = || -> std::io::Result<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect(peer)?;
        Ok(socket.local_addr()?.ip())
    };
    probe().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST))
}

/// Waits for the final answer; `None` when there is no call.
async fn ring(call: &mut Call, report: &mut DialReport, deadline: tokio::time::Instant) -> Option<Instant> {
    while let Ok(Some(event)) = tokio::time::timeout_at(deadline, call.event()).await {
        match event {
            CallEvent::Progress { code, at } => {
                let at = ms(call.invited, at);
                report.progress.push((code, at));
                report.ringing_ms = report.ringing_ms.or(Some(at).filter(|_| matches!(code, 180 | 183)));
            }
            CallEvent::Answered { at } => {
                report.code = 200;
                report.answered_ms = Some(ms(call.invited, at));
                return Some(at);
            }
            CallEvent::Failed { code, .. } => {
                report.code = code;
                return None;
            }
            _ => {}
        }
    }
    report.code = 487;
    report.ended_by = EndedBy::Us;
    None
}

async fn ended(call: &mut Call) -> (Instant, Option<String>) {
    loop {
        match call.event().await {
            Some(CallEvent::Ended { reason, at }) => return (at, reason),
            Some(_) => {}
            None => return (Instant::now(), None),
        }
    }
}

async fn send_digits(media: &Media, digits: &str) {
    media.wait(LONGEST, |m| m.is_idle()).await;
    for (n, group) in digits.split(',').enumerate() {
        if n > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        media.press(group);
        media.wait(LONGEST, |m| m.is_idle()).await;
    }
}

/// Until the other side has been silent for a while.
async fn settle(media: &Media, answered: Instant) {
    let sent = Instant::now();
    let silent = move |heard: &crate::heard::Heard| {
        let last = heard.last_voiced().unwrap_or(answered).max(sent);
        last.elapsed() > SETTLE
    };
    media.wait(LONGEST, |m| m.listen(silent)).await;
}

fn fill(report: &mut DialReport, zero: Instant, answered: Instant, media: &Media, clip: Option<PlayId>) {
    let heard = media.heard();
    report.first_packet_ms = heard.first_packet().map(|at| ms(zero, at));
    report.first_voiced_ms = heard.voiced_after(answered).map(|at| ms(zero, at));
    report.heard_ms = heard.spells.iter().map(|s| (ms(zero, s.start), ms(zero, s.end))).collect();
    report.digits = heard.digits.iter().map(|(d, _)| *d).collect();
    if let Some(played) = clip.and_then(|id| media.played(id)) {
        report.played_until_ms = Some(ms(zero, played.voiced_end));
        report.reply_ms = heard.voiced_after(played.voiced_end).map(|at| ms(zero, at));
    }
    report.rtp = heard.stats;
}

fn ms(zero: Instant, at: Instant) -> u64 {
    at.saturating_duration_since(zero).as_millis() as u64
}
