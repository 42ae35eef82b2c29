//! Two answering machines that do the same: take the call, answer with a description of a port of its own, keep the dialog,
//! let it end.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use baton_sip::sdp;
use baton_sip::{ExtensionAuth, Ha1, Limits, Listen, SipCommand, SipConfig, SipEvent, Transport};
use rsipstack::EndpointBuilder;
use rsipstack::dialog::dialog::{Dialog, DialogState};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::sip::{self, Method};
use rsipstack::transport::{TransportLayer, udp::UdpConnection};
use tokio_util::sync::CancellationToken;

/// The next media port to answer with.
struct Ports(u16);

impl Ports {
    fn answer(&mut self, offer: &str) -> Result<String> {
        self.0 = if self.0 >= 60_000 { 20_000 } else { self.0 + 2 };
        let local = SocketAddr::new([127, 0, 0, 1].into(), self.0);
        Ok(sdp::plain_answer(offer, local)?)
    }
}

/// On each line of standard input it tells how full its tables are. Its extensions are those of `registrations.csv`.
pub async fn baton(addr: SocketAddr) -> Result<()> {
    let domain = SipConfig::default().domain;
    let extension = |n: u32| ExtensionAuth {
        ext: n.to_string(),
        ha1: Ha1::from_password(&n.to_string(), &domain, &format!("load-{n}")),
    };
    let config = SipConfig {
        extensions: (3_000..3_100).map(extension).collect(),
        sha256: false,
        listen: vec![Listen { transport: Transport::Udp, bind: addr }],
        numbers: vec!["*".into()],
        limits: Limits { legs: 50_000, transactions: 500_000, events: 16_384, ..Limits::default() },
        ..SipConfig::default()
    };
    let (sip, mut events) = baton_sip::start(config).await?;
    let teller = sip.clone();
    std::thread::spawn(move || {
        for _ in std::io::stdin().lines().map_while(Result::ok) {
            println!("{:?}", teller.sizes());
        }
    });
    let mut ports = Ports(20_000);
    while let Some(event) = events.recv().await {
        if let SipEvent::Incoming { leg, sdp: Some(offer), .. } = event {
            sip.send(SipCommand::Ring { leg })?;
            sip.send(SipCommand::Answer { leg, sdp: ports.answer(&offer)? })?;
        }
    }
    Ok(())
}

pub async fn rsipstack(addr: SocketAddr) -> Result<()> {
    let token = CancellationToken::new();
    let transports = TransportLayer::new(token.clone());
    let udp = UdpConnection::create_connection(addr, None, Some(token.child_token())).await?;
    transports.add_transport(udp.into());
    let endpoint = EndpointBuilder::new().with_cancel_token(token).with_transport_layer(transports).build();
    let contact: sip::Uri = format!("sip:help@{addr}").as_str().try_into()?;
    let mut incoming = endpoint.incoming_transactions()?;
    let dialogs = Arc::new(DialogLayer::new(endpoint.inner.clone()));
    let (states_in, mut states) = dialogs.new_dialog_state_channel();
    tokio::spawn(async move { endpoint.serve().await });
    let layer = Arc::clone(&dialogs);
    tokio::spawn(async move {
        let mut ports = Ports(20_000);
        while let Some(state) = states.recv().await {
            match state {
                DialogState::Calling(id) => {
                    let Some(Dialog::Invite(dialog)) = layer.get_dialog(&id) else { continue };
                    let offer = String::from_utf8_lossy(&dialog.initial_request().body).into_owned();
                    let Ok(answer) = ports.answer(&offer) else { continue };
                    let kind = sip::Header::ContentType(sip::headers::ContentType::new("application/sdp"));
                    let _ = dialog.ringing(None, None);
                    let _ = dialog.accept(Some(vec![kind]), Some(answer.into_bytes()));
                }
                DialogState::Terminated(id, _) => layer.remove_dialog(&id),
                _ => {}
            }
        }
    });
    while let Some(mut tx) = incoming.recv().await {
        let known = dialogs.match_dialog(&tx);
        let dialog = match (known, &tx.original.method) {
            (Some(dialog), _) => dialog,
            (None, Method::Invite) => {
                let made = dialogs.get_or_create_server_invite(&tx, states_in.clone(), None, Some(contact.clone()));
                let Ok(dialog) = made else { continue };
                Dialog::Invite(dialog)
            }
            _ => continue,
        };
        let mut dialog = dialog;
        tokio::spawn(async move { dialog.handle(&mut tx).await });
    }
    Ok(())
}
