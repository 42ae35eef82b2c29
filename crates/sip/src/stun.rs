//! STUN Binding on the SIP port (RFC 8489), as far as a keepalive needs it (RFC 5626 §4.4.2): a phone asks what its
//! address looks like from here, and keeps its NAT's door open by asking. Nothing is stored.

use std::net::{IpAddr, SocketAddr};

const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const HEADER: usize = 20;
/// The largest request looked at.
pub(crate) const MAX: usize = 548;

/// The length of the STUN message these bytes start with, if they do: two zero bits, and the magic cookie.
pub(crate) fn length(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..HEADER)?;
    let body = usize::from(u16::from_be_bytes([head[2], head[3]]));
    (head[0] & 0xc0 == 0 && head[4..8] == COOKIE && body % 4 == 0 && HEADER + body <= MAX).then_some(HEADER + body)
}

/// Whether these bytes may become a STUN message once more of them are there.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(0 | 1))
        && bytes.iter().skip(4).zip(COOKIE).all(|(byte, cookie)| *byte == cookie)
        && bytes.len() < MAX
}

/// The answer to a Binding request; `None` for anything else. It is not larger than 44 bytes, a request not smaller than
/// 20: of no use to who wants traffic amplified.
pub(crate) fn answer(bytes: &[u8], from: SocketAddr) -> Option<Vec<u8>> {
    if length(bytes)? != bytes.len() || bytes[..2] != [0, 1] {
        return None;
    }
    let transaction = &bytes[4..HEADER];
    let (family, address): (u8, Vec<u8>) = match from.ip().to_canonical() {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    // XOR-MAPPED-ADDRESS (§14.2): port and address, masked by cookie and transaction id.
    let port = from.port().to_be_bytes();
    let mut value = vec![0, family, port[0] ^ COOKIE[0], port[1] ^ COOKIE[1]];
    value.extend(address.iter().zip(transaction).map(|(byte, mask)| byte ^ mask));
    let mut out = vec![0x01, 0x01];
    out.extend(u16::try_from(value.len() + 4).ok()?.to_be_bytes());
    out.extend(transaction);
    out.extend([0x00, 0x20]);
    out.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
    out.extend(value);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Vec<u8> {
        let mut bytes = vec![0, 1, 0, 0];
        bytes.extend(COOKIE);
        bytes.extend([0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae]);
        bytes
    }

    #[test]
    fn addresses_are_masked_as_in_the_test_vectors() {
        // RFC 5769 §2.2 and §2.3 answer this transaction id from these addresses.
        let v4 = answer(&request(), "192.0.2.1:32853".parse().unwrap()).unwrap();
        assert_eq!(v4[..4], [1, 1, 0, 12]);
        assert_eq!(v4[20..], [0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43]);
        let v6 = answer(&request(), "[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap()).unwrap();
        assert_eq!(v6[24..28], [0, 2, 0xa1, 0x47]);
        assert_eq!(
            v6[28..],
            [0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9]
        );
    }

    #[test]
    fn what_is_no_binding_request_gets_nothing() {
        let from = "192.0.2.1:1".parse().unwrap();
        let mut answered = request();
        answered[0] = 1;
        let mut long = request();
        long[3] = 4;
        let mut foreign = request();
        foreign[4] = 0;
        for bytes in [answered, long, foreign, b"OPTIONS sip:a SIP/2.0".to_vec(), vec![0; 20], vec![]] {
            assert_eq!(answer(&bytes, from), None);
        }
        assert!(may_begin(&request()[..7]) && !may_begin(b"INVITE") && !may_begin(b"\r\n") && !may_begin(&[]));
    }
}
