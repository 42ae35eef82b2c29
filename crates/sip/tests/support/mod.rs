//! What the tests on real sockets share.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "tests")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_sip::sdp;
use baton_sip::{
    Defence, ExtensionAuth, Ha1, LegId, Listen, SipCommand, SipConfig, SipEvent, SipHandle, TlsFiles, Transport,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

/// How long anything is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The password of every extension here.
pub const PASSWORD: &str = "secret";

/// Every transport on free ports of an address.
pub fn listen(transports: &[Transport], bind: &str) -> Vec<Listen> {
    transports.iter().map(|transport| Listen { transport: *transport, bind: bind.parse().unwrap() }).collect()
}

/// A config with one number, `help`, and the extensions 1001 and 1002.
pub fn config(transports: &[Transport]) -> SipConfig {
    let extensions = ["1001", "1002"]
        .map(|ext| ExtensionAuth { ext: ext.into(), ha1: Ha1::from_password(ext, "baton.localhost", PASSWORD) });
    SipConfig {
        listen: listen(transports, "127.0.0.1:0"),
        numbers: vec!["help".into()],
        extensions: extensions.to_vec(),
        ..SipConfig::default()
    }
}

/// A defence that takes loopback for what it is to a test: the rest of the world.
pub fn wary() -> Defence {
    Defence { trusted: Vec::new(), ..Defence::default() }
}

pub async fn next(events: &mut Receiver<SipEvent>) -> SipEvent {
    timeout(PATIENCE, events.recv()).await.expect("no event in time").expect("the endpoint stopped")
}

pub fn our_sdp() -> String {
    sdp::plain_offer("127.0.0.1:4000".parse().unwrap())
}

/// A call to a URI, with more header fields.
pub fn invite(leg: LegId, uri: String, headers: Vec<(String, String)>) -> SipCommand {
    SipCommand::InviteUri { leg, uri, from_user: "me".into(), from_display: None, headers, sdp: our_sdp() }
}

/// Answers a call that came in, and waits for its ACK.
pub async fn answer(sip: &SipHandle, events: &mut Receiver<SipEvent>) -> (LegId, SocketAddr) {
    let SipEvent::Incoming { leg, sdp: Some(offer), source, .. } = next(events).await else { panic!("no call") };
    let ours = "127.0.0.1:5000".parse().unwrap();
    let sdp = sdp::plain_answer(&offer, ours).unwrap();
    sip.send(SipCommand::Answer { leg, sdp }).unwrap();
    assert!(matches!(next(events).await, SipEvent::Confirmed { .. }));
    (leg, source)
}

/// Waits until a condition holds that no event tells of.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await; // looked at again
    }
}

/// A certificate authority of a test, and its files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: PathBuf,
}

impl Authority {
    /// Its files go into a fresh directory under target.
    pub fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(dir.join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, dir }
    }

    /// The authority's own certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Signs a certificate for a name and 127.0.0.1, into `NAME.pem` and `NAME.key`.
    pub fn sign(&self, name: &str) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.subject_alt_names.push(SanType::IpAddress("127.0.0.1".parse().unwrap()));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (chain, secret) = (self.dir.join(format!("{name}.pem")), self.dir.join(format!("{name}.key")));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        (chain, secret)
    }

    /// Files of an endpoint with that certificate, which trusts this authority.
    pub fn files(&self, name: &str) -> TlsFiles {
        let (certificate, key) = self.sign(name);
        TlsFiles { certificate, key, client_ca: None, client_required: false, trust: Some(self.ca()) }
    }
}

/// Whether a program is there; says that its test is skipped if not.
pub fn has(program: &str) -> bool {
    let there = std::process::Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output()
        .is_ok_and(|o| o.status.success());
    if !there {
        println!("SKIPPED: {program} is not installed (scripts/setup.sh test)");
    }
    there
}
