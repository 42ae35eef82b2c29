//! HEP version 3 (the Homer Encapsulation Protocol): SIP messages for a capture server such as Homer. Bytes out, one datagram
//! a message; nothing is waited for and nothing is lost but copies.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::api::Transport;
use crate::flow::Flow;

/// Where copies of SIP messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HepConfig {
    /// The capture server.
    pub to: SocketAddr,
    /// Our number there.
    pub node: u32,
    /// The authentication key it expects, if any.
    pub password: Option<String>,
}

/// A message on its way, as HEP tells it.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Who was to get it.
    pub to: SocketAddr,
    /// Over what.
    pub transport: Transport,
    /// When, since 1970.
    pub at: Duration,
    /// The message.
    pub payload: &'a [u8],
}

/// One HEP3 packet. `None` where the payload is longer than a chunk can be.
pub fn encode(packet: &Packet<'_>, node: u32, password: Option<&str>) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(packet.payload.len() + 128);
    out.extend_from_slice(b"HEP3\0\0");
    let (from, to) = (packet.from.ip().to_canonical(), packet.to.ip().to_canonical());
    let protocol = match packet.transport {
        Transport::Udp => 17,
        _ => 6,
    };
    let micros = packet.at.subsec_micros();
    let seconds = u32::try_from(packet.at.as_secs()).unwrap_or(u32::MAX);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            chunk(&mut out, 1, &[2])?; // AF_INET
            chunk(&mut out, 2, &[protocol])?;
            chunk(&mut out, 3, &from.octets())?;
            chunk(&mut out, 4, &to.octets())?;
        }
        _ => {
            let six = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            chunk(&mut out, 1, &[10])?; // AF_INET6
            chunk(&mut out, 2, &[protocol])?;
            chunk(&mut out, 5, &six(from).octets())?;
            chunk(&mut out, 6, &six(to).octets())?;
        }
    }
    chunk(&mut out, 7, &packet.from.port().to_be_bytes())?;
    chunk(&mut out, 8, &packet.to.port().to_be_bytes())?;
    chunk(&mut out, 9, &seconds.to_be_bytes())?;
    chunk(&mut out, 10, &micros.to_be_bytes())?;
    chunk(&mut out, 11, &[1])?; // SIP
    chunk(&mut out, 12, &node.to_be_bytes())?;
    if let Some(password) = password {
        chunk(&mut out, 14, password.as_bytes())?;
    }
    chunk(&mut out, 15, packet.payload)?;
    let length = u16::try_from(out.len()).ok()?.to_be_bytes();
    out.get_mut(4..6)?.copy_from_slice(&length);
    Some(out)
}

/// Vendor 0, type, length of the whole chunk, value.
fn chunk(out: &mut Vec<u8>, kind: u16, value: &[u8]) -> Option<()> {
    let length = u16::try_from(value.len() + 6).ok()?;
    out.extend_from_slice(&0u16.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Some(())
}

/// Sends copies to a capture server.
#[derive(Debug)]
pub(crate) struct Exporter {
    socket: UdpSocket,
    config: HepConfig,
}

impl Exporter {
    pub fn start(config: HepConfig) -> std::io::Result<Self> {
        let any: SocketAddr = if config.to.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.set_nonblocking(true)?;
        socket.connect(config.to)?;
        Ok(Self { socket, config })
    }

    /// Passes a copy on, with what proves a password masked. What the server has no room for is dropped.
    pub fn copy(&self, flow: &Flow, sent: bool, message: &[u8]) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (from, to) = if sent { (flow.local, flow.remote) } else { (flow.remote, flow.local) };
        let payload = crate::wire::masked(message);
        let packet = Packet { from, to, transport: flow.transport, at, payload: payload.as_bytes() };
        if let Some(bytes) = encode(&packet, self.config.node, self.config.password.as_deref()) {
            let _ = self.socket.send(&bytes); // nobody there, or no room: it is a copy
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(from: &str, to: &str, payload: &'static [u8]) -> Packet<'static> {
        let at = Duration::new(1_700_000_000, 123_456_789);
        Packet { from: from.parse().unwrap(), to: to.parse().unwrap(), transport: Transport::Udp, at, payload }
    }

    /// Reads the chunks back as the protocol's description has them.
    fn chunks(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        assert_eq!(&bytes[..4], b"HEP3");
        assert_eq!(usize::from(u16::from_be_bytes([bytes[4], bytes[5]])), bytes.len());
        let (mut rest, mut out) = (&bytes[6..], Vec::new());
        while !rest.is_empty() {
            let [_, _, k0, k1, l0, l1] = rest[..6] else { panic!() };
            let length = usize::from(u16::from_be_bytes([l0, l1]));
            out.push((u16::from_be_bytes([k0, k1]), rest[6..length].to_vec()));
            rest = &rest[length..];
        }
        out
    }

    #[test]
    fn packets_have_the_chunks_a_server_reads() {
        let bytes = encode(&packet("192.0.2.9:5070", "192.0.2.1:5060", b"OPTIONS"), 7, Some("pw")).unwrap();
        let expected: [(u16, &[u8]); 13] = [
            (1, &[2]),
            (2, &[17]),
            (3, &[192, 0, 2, 9]),
            (4, &[192, 0, 2, 1]),
            (7, &5070u16.to_be_bytes()),
            (8, &5060u16.to_be_bytes()),
            (9, &1_700_000_000u32.to_be_bytes()),
            (10, &123_456u32.to_be_bytes()),
            (11, &[1]),
            (12, &[0, 0, 0, 7]),
            (14, b"pw"),
            (15, b"OPTIONS"),
            (0, b""),
        ];
        let read = chunks(&bytes);
        assert_eq!(read.len(), 12);
        for ((kind, value), (wanted, bytes)) in read.iter().zip(expected) {
            assert_eq!((*kind, value.as_slice()), (wanted, bytes));
        }
        let six = chunks(&encode(&packet("[2001:db8::9]:5070", "[2001:db8::1]:5060", b"x"), 1, None).unwrap());
        assert_eq!((six[0].1.as_slice(), six[2].0, six[2].1.len()), (&[10u8][..], 5, 16));
        let long = packet("192.0.2.9:5070", "192.0.2.1:5060", &[b'x'; 65_530]);
        assert_eq!(encode(&long, 1, None), None);
    }

    #[test]
    fn copies_arrive_without_secrets() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let config = HepConfig { to: server.local_addr().unwrap(), node: 3, password: None };
        let (local, remote) = ("192.0.2.1:5060".parse().unwrap(), "192.0.2.9:5070".parse().unwrap());
        let flow = Flow { transport: Transport::Udp, listener: 0, local, remote, connection: None };
        let message = b"REGISTER sip:a SIP/2.0\r\nAuthorization: Digest response=\"secret\"\r\n\r\n";
        Exporter::start(config).unwrap().copy(&flow, true, message);
        let mut buffer = [0; 2_048];
        let n = server.recv(&mut buffer).unwrap();
        let read = chunks(&buffer[..n]);
        assert_eq!((read[2].1.as_slice(), read[3].1.as_slice()), (&[192u8, 0, 2, 1][..], &[192u8, 0, 2, 9][..]));
        let text = String::from_utf8_lossy(&read[10].1).into_owned();
        assert!(text.starts_with("REGISTER") && !text.contains("secret"));
    }
}
