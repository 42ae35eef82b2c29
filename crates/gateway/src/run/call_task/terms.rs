//! What may be agreed with the peer of one leg, and what was: codecs, keys, digits, as its trunk or extension is configured.
//! Between SDP's words and the media plane's.

use std::net::SocketAddr;

use baton_media::{Agreement, Codec, CodecList, CryptoAttribute, CryptoPair, SrtpPolicy};
use baton_sip::sdp::negotiate::{self, Agreed, Local};
use baton_sip::sdp::stream::{CodecDesc, CryptoAttr, Description, Protocol};
use baton_sip::sdp::{SdpError, SessionId};

use crate::config::Line;

/// See the module.
pub(super) struct Terms {
    line: Line,
    local: SocketAddr,
    /// Ours, one a suite, the same for the leg's whole life: what is agreed anew goes on with them.
    keys: Vec<CryptoAttribute>,
}

/// Nothing was agreed: 488.
#[derive(Debug)]
pub(super) struct Disagreed {
    /// For the peer.
    pub why: String,
    /// For whoever reads the log.
    pub hint: String,
}

impl Terms {
    pub fn new(line: &Line, local: SocketAddr) -> Self {
        Self { keys: line.srtp.offer(), line: line.clone(), local }
    }

    /// The same port on another line.
    pub fn on(&self, line: &Line) -> Self {
        Self::new(line, self.local)
    }

    /// Offers this codec first, where it may be spoken: with the codec of the other side nothing is coded anew.
    pub fn prefer(&mut self, codec: Codec) {
        self.line.codecs.sort_by_key(|ours| *ours != codec);
    }

    /// Our offer.
    pub fn offer(&self) -> String {
        negotiate::offer(&self.offering(), SessionId::next())
    }

    /// Answers theirs.
    pub fn answer(&self, offer: &str) -> Result<(String, Agreement), Disagreed> {
        let answered = Description::parse(offer).and_then(|mut offer| {
            for stream in &mut offer.streams {
                stream.crypto.retain(|line| read_key(line).is_some()); // those we cannot use are not there
            }
            let (text, agreed) = negotiate::answer(&offer, &self.answering(), SessionId::next())?;
            Ok((text, self.agreement(&agreed)?))
        });
        answered.map_err(|e| self.disagreed(&e))
    }

    /// Reads their answer to our offer.
    pub fn read_answer(&self, answer: Option<&str>) -> Result<Agreement, Disagreed> {
        let Some(answer) = answer else {
            let why = "our offer got no answer";
            return Err(Disagreed { why: why.into(), hint: format!("{why}: the other side must send SDP") });
        };
        let agreed = negotiate::read_answer(answer, &self.offering()).and_then(|agreed| self.agreement(&agreed));
        agreed.map_err(|e| self.disagreed(&e))
    }

    fn offering(&self) -> Local {
        // Optional keys stand beside a plain profile: who knows nothing of them passes them over (RFC 8643).
        let secure = self.line.srtp == SrtpPolicy::Required;
        self.able(vec![if secure { Protocol::Savp } else { Protocol::Avp }])
    }

    fn answering(&self) -> Local {
        let plain = vec![Protocol::Avp, Protocol::Avpf];
        let all = vec![Protocol::Savp, Protocol::Savpf, Protocol::Avp, Protocol::Avpf];
        Local { rtcp_mux: true, ..self.able(if self.line.srtp == SrtpPolicy::Off { plain } else { all }) }
    }

    fn able(&self, protocols: Vec<Protocol>) -> Local {
        let codecs = self.line.codecs.iter().map(|codec| described(*codec)).collect();
        Local {
            protocols,
            crypto: self.keys.iter().filter_map(|key| CryptoAttr::parse(&key.to_sdp())).collect(),
            encrypted: self.line.srtp == SrtpPolicy::Required,
            ..Local::plain(self.local, codecs)
        }
    }

    /// In the media plane's words.
    fn agreement(&self, agreed: &Agreed) -> Result<Agreement, SdpError> {
        let codec = spoken(&agreed.codec).ok_or_else(|| SdpError::NoCodec { theirs: agreed.codec.name.clone() })?;
        let received = Some((codec, agreed.receive_pt)).filter(|_| agreed.receive_pt != agreed.codec.pt);
        let also = agreed.also.iter().filter_map(|other| Some((spoken(other)?, other.pt)));
        let codecs: CodecList = [(codec, agreed.codec.pt)].into_iter().chain(received).chain(also).collect();
        let crypto = match &agreed.crypto {
            None => None,
            Some(keys) => {
                let receive = read_key(&keys.theirs).ok_or(SdpError::NoCrypto)?.key;
                let ours = self.keys.iter().find(|ours| ours.key.suite() == receive.suite());
                Some(CryptoPair { send: ours.ok_or(SdpError::NoCrypto)?.key, receive })
            }
        };
        Ok(Agreement {
            remote_rtcp: Some(agreed.rtcp),
            rtcp_mux: agreed.rtcp_mux,
            dtmf_payload_type: agreed.events.as_ref().map(|events| events.pt),
            in_band_dtmf: agreed.events.is_none() && self.line.in_band_dtmf,
            send: agreed.direction.receives(),
            receive: agreed.direction.sends(),
            crypto,
            ..Agreement::new(agreed.addr, codecs)
        })
    }

    fn disagreed(&self, e: &SdpError) -> Disagreed {
        let names = self.line.codecs.iter().map(|codec| codec.name()).collect::<Vec<_>>().join(", ");
        let hint = match (e, self.line.srtp) {
            (SdpError::NoCodec { .. }, _) => {
                format!("{e}; taken here: {names}. Allow one of these there, or add theirs to `codecs`")
            }
            (SdpError::NoProfile { theirs }, _) if theirs.contains("TLS") => {
                format!("{e}: keys by DTLS are not spoken here. Set the other side to SDES (a=crypto), or to plain RTP")
            }
            (SdpError::NoProfile { .. }, SrtpPolicy::Off) => {
                format!(
                    "{e}: SRTP is off here. Set srtp = \"optional\" for this trunk or extension, or turn it off there"
                )
            }
            (SdpError::NoCrypto | SdpError::NoProfile { .. }, SrtpPolicy::Required) => {
                format!("{e}: SRTP is required here. Turn SRTP with SDES keys on there, or set srtp = \"optional\"")
            }
            _ => e.to_string(),
        };
        Disagreed { why: e.to_string(), hint }
    }
}

fn read_key(line: &CryptoAttr) -> Option<CryptoAttribute> {
    line.value().parse().ok()
}

/// A codec as our descriptions name it.
fn described(codec: Codec) -> CodecDesc {
    let described = CodecDesc::new(codec.name(), codec.clock_rate(), codec.usual_payload_type());
    match codec {
        // RFC 7587: two channels in name, whatever is sent; we hear up to 8 kHz of sound.
        Codec::Opus => described.channels(2).fmtp("maxplaybackrate=16000;useinbandfec=1"),
        _ => described,
    }
}

fn spoken(named: &CodecDesc) -> Option<Codec> {
    Codec::ALL.into_iter().find(|codec| described(*codec).same_format(named))
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
