//! An endpoint that answers every call with G.711 silence, and hangs up with its caller: the peer for SIPp and torture
//! runs. `answer [LISTEN] [EXT:PASSWORD …]`; what its tables hold goes to standard error every five seconds. MD5 alone is
//! offered: SIPp knows no other.

use std::net::SocketAddr;

use baton_sip::sdp;
use baton_sip::{ExtensionAuth, Ha1, Listen, SipCommand, SipConfig, SipEvent, Transport};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let bind: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:5060").parse()?;
    let domain = bind.ip().to_string();
    let extension = |a: String| {
        let (ext, password) = a.split_once(':')?;
        Some(ExtensionAuth { ext: ext.into(), ha1: Ha1::from_password(ext, &domain, password) })
    };
    let config = SipConfig {
        listen: [Transport::Udp, Transport::Tcp].map(|transport| Listen { transport, bind }).to_vec(),
        extensions: arguments.filter_map(extension).collect(),
        sha256: false,
        numbers: vec!["*".into()],
        domain: domain.clone(),
        ..SipConfig::default()
    };
    let (sip, mut events) = baton_sip::start(config).await?;
    let media = SocketAddr::new(bind.ip(), 40_000);
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(5));
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = tick.tick() => {
                eprintln!("{:?} dropped {}", sip.sizes(), sip.dropped());
                continue;
            }
        };
        match event {
            Some(SipEvent::Incoming { leg, sdp: offer, .. }) => {
                let answer = match &offer {
                    Some(offer) => sdp::plain_answer(offer, media),
                    None => Ok(sdp::plain_offer(media)),
                };
                sip.send(match answer {
                    Ok(sdp) => SipCommand::Answer { leg, sdp },
                    Err(e) => SipCommand::Reject { leg, code: 488, reason: Some(e.to_string()) },
                })?;
            }
            Some(SipEvent::Reoffer { leg, sdp: offer }) => {
                let sdp = match &offer {
                    Some(offer) => sdp::plain_answer(offer, media).map_err(|_| 488),
                    None => Ok(sdp::plain_offer(media)),
                };
                sip.send(SipCommand::AnswerReoffer { leg, sdp })?;
            }
            Some(SipEvent::Registered { ext, contact, expires_s }) => eprintln!("{ext} at {contact} for {expires_s} s"),
            Some(_) => {}
            None => return Ok(()),
        }
    }
}
