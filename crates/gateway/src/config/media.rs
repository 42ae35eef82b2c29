//! `[media]`: where audio goes in and out and what is spoken there; and what a trunk or an extension has different.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use baton_media::{Codec, SrtpPolicy};

use super::{Compiler, raw};

/// The media plane's part of the config.
#[derive(Debug, Clone)]
pub struct Media {
    pub bind: IpAddr,
    pub advertised: IpAddr,
    pub ports: (u16, u16),
    pub threads: usize,
    pub pin: bool,
    pub silence_limit: Duration,
    pub hold_music: Option<PathBuf>,
    /// What is spoken with whom nothing else is said of.
    pub line: Line,
    /// By trunk.
    pub trunks: BTreeMap<String, Line>,
    /// By extension.
    pub extensions: BTreeMap<String, Line>,
}

/// What is spoken with a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// In our order of preference; at least one.
    pub codecs: Vec<Codec>,
    pub srtp: SrtpPolicy,
    /// Digits are listened for in the sound where the peer has no telephone-event.
    pub in_band_dtmf: bool,
}

impl Compiler<'_> {
    pub(super) fn media(&mut self, raw: raw::Media, trunks: &[raw::Trunk], extensions: &[raw::Extension]) -> Media {
        let [low, high] = raw.ports;
        if low < 1024 || high <= low {
            self.fault(
                &["media", "ports"],
                format!("the RTP port range {low}-{high} is empty or reaches below 1024"),
                "give two ports, low and high, e.g. ports = [30000, 31999]",
            );
        }
        if raw.threads == 0 {
            self.fault(&["media", "threads"], "no media thread", "give 1 or more");
        }
        if raw.bind.is_unspecified() && raw.advertised.is_none() {
            self.fault(
                &["media", "bind"],
                "media binds every address, so SDP would not know which one to name",
                "set `advertised` to the address that peers send RTP to",
            );
        }
        let line = Line {
            codecs: self.codecs(&["media", "codecs"], &raw.codecs),
            srtp: policy(raw.srtp),
            in_band_dtmf: raw.in_band_dtmf,
        };
        let trunks = trunks.iter().enumerate().map(|(i, trunk)| {
            let own = (trunk.codecs.as_deref(), trunk.srtp, trunk.in_band_dtmf);
            (trunk.name.clone(), self.line(&["trunk", &i.to_string(), "codecs"], &line, own))
        });
        let trunks = trunks.collect();
        let extensions = extensions.iter().enumerate().map(|(i, extension)| {
            let own = (extension.codecs.as_deref(), extension.srtp, extension.in_band_dtmf);
            (extension.number.clone(), self.line(&["extension", &i.to_string(), "codecs"], &line, own))
        });
        Media {
            bind: raw.bind,
            advertised: raw.advertised.unwrap_or(raw.bind),
            ports: (low, high),
            threads: raw.threads,
            pin: raw.pin,
            silence_limit: Duration::from_secs(raw.silence_limit_s),
            extensions: extensions.collect(),
            hold_music: raw.hold_music.map(|p| self.path(p)),
            line,
            trunks,
        }
    }

    fn line(
        &mut self,
        at: &[&str],
        general: &Line,
        (codecs, srtp, in_band_dtmf): (Option<&[raw::Codec]>, Option<raw::Srtp>, Option<bool>),
    ) -> Line {
        Line {
            codecs: codecs.map_or_else(|| general.codecs.clone(), |codecs| self.codecs(at, codecs)),
            srtp: srtp.map_or(general.srtp, policy),
            in_band_dtmf: in_band_dtmf.unwrap_or(general.in_band_dtmf),
        }
    }

    fn codecs(&mut self, at: &[&str], raw: &[raw::Codec]) -> Vec<Codec> {
        let mut codecs: Vec<Codec> = Vec::new();
        for codec in raw {
            let codec = match codec {
                raw::Codec::Pcmu => Codec::Pcmu,
                raw::Codec::Pcma => Codec::Pcma,
                raw::Codec::G722 => Codec::G722,
                raw::Codec::Opus => Codec::Opus,
            };
            if codecs.contains(&codec) {
                self.fault(at, format!("{codec} is named twice"), "name each once, the one to prefer first");
            } else {
                codecs.push(codec);
            }
        }
        if codecs.is_empty() {
            self.fault(at, "no codec is allowed", "name at least one of PCMU, PCMA, G722, opus");
        }
        codecs
    }
}

fn policy(raw: raw::Srtp) -> SrtpPolicy {
    match raw {
        raw::Srtp::Off => SrtpPolicy::Off,
        raw::Srtp::Optional => SrtpPolicy::Optional,
        raw::Srtp::Required => SrtpPolicy::Required,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{EMBEDDED, parse};

    #[test]
    fn a_line_has_what_is_its_own_and_else_what_is_general() {
        let own = "[[extension]]\nnumber = \"7\"\ncodecs = [\"opus\", \"G722\"]\nsrtp = \"required\"\n\
                   [[trunk]]\nname = \"carrier\"\nsources = [\"192.0.2.1\"]\nin_band_dtmf = false\n";
        let media = parse("test", &format!("{EMBEDDED}\n{own}"), Path::new("")).unwrap().media;
        let (phone, carrier) = (&media.extensions["7"], &media.trunks["carrier"]);
        assert_eq!((&phone.codecs[..], phone.srtp), (&[Codec::Opus, Codec::G722][..], SrtpPolicy::Required));
        assert!(phone.in_band_dtmf && !carrier.in_band_dtmf);
        assert_eq!((&carrier.codecs, carrier.srtp), (&media.line.codecs, SrtpPolicy::Off));
        for (line, words) in [
            ("codecs = []", "no codec is allowed"),
            ("codecs = [\"opus\", \"opus\"]", "opus is named twice"),
            ("codecs = [\"G729\"]", "unknown variant"),
            ("srtp = \"on\"", "unknown variant"),
        ] {
            let text = format!("{EMBEDDED}\n[[extension]]\nnumber = \"7\"\n{line}\n");
            let told = parse("test", &text, Path::new("")).unwrap_err().to_string();
            assert!(told.contains(words), "{told}");
        }
    }
}
