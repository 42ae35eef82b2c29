//! What bytes must look like before anything parses them, and the answer to those that do not. The parser behind checks
//! parameters for duplicates in quadratic time, so a line's length is bounded here; a 53 KB line would hold a thread for
//! seconds.

/// The longest datagram or stream message that is looked at.
pub const MAX_MESSAGE: usize = 65_535;
/// The longest line. RFC 4475's longest values stay below.
pub const MAX_LINE: usize = 4_096;
/// The most header lines.
pub const MAX_LINES: usize = 256;

/// Why bytes are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than [`MAX_MESSAGE`].
    #[error("message of more than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// A line longer than [`MAX_LINE`].
    #[error("line of more than {MAX_LINE} bytes")]
    LongLine,
    /// More than [`MAX_LINES`] lines.
    #[error("more than {MAX_LINES} header lines")]
    ManyLines,
}

/// Checks sizes, in one pass over the header section.
pub fn check(bytes: &[u8]) -> Result<(), Refused> {
    if bytes.len() > MAX_MESSAGE {
        return Err(Refused::TooLarge);
    }
    let (mut line, mut lines) = (0usize, 0usize);
    for (i, byte) in bytes.iter().enumerate() {
        if *byte == b'\n' {
            // A folded line counts as one with the line it continues.
            let folded = matches!(bytes.get(i + 1), Some(b' ' | b'\t'));
            if line <= 1 && lines > 0 {
                return Ok(()); // the blank line: what follows is the body
            }
            if !folded {
                (line, lines) = (0, lines + 1);
                if lines > MAX_LINES {
                    return Err(Refused::ManyLines);
                }
            }
            continue;
        }
        line += 1;
        if line > MAX_LINE {
            return Err(Refused::LongLine);
        }
    }
    Ok(())
}

/// Whether the bytes are a keepalive: CRLFs only (RFC 5626 §3.5.1), or nothing.
pub fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// The answer to a request that could not be parsed, made of its own lines. `None` where RFC 3261 wants silence: responses,
/// ACK, and requests that lack what an answer must carry.
pub fn answer(bytes: &[u8], code: u16, reason: &str) -> Option<String> {
    let head = bytes.get(..bytes.len().min(16_384))?;
    let text = String::from_utf8_lossy(head);
    let head = text.split("\r\n\r\n").next()?.replace("\r\n ", " ").replace("\r\n\t", " ");
    let mut lines = head.split("\r\n");
    let start = lines.next()?;
    if start.starts_with("SIP/") || start.starts_with("ACK ") || !start.contains("SIP/") {
        return None;
    }
    let lines: Vec<(String, &str)> =
        lines.filter_map(|l| l.split_once(':')).map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim())).collect();
    let all = |long: &str, short: &str| lines.iter().filter(|(n, _)| n == long || n == short).map(|(_, v)| *v).collect::<Vec<_>>();
    let vias = all("via", "v");
    let first = |long, short| all(long, short).first().copied();
    let (from, to, call_id, cseq) = (first("from", "f")?, first("to", "t")?, first("call-id", "i")?, first("cseq", "cseq")?);
    if vias.is_empty() || !vias[0].to_ascii_uppercase().starts_with("SIP") {
        return None;
    }
    let vias: String = vias.iter().map(|v| format!("Via: {v}\r\n")).collect();
    let tag = if to.contains(";tag=") { "" } else { ";tag=refused" };
    Some(format!(
        "SIP/2.0 {code} {reason}\r\n{vias}From: {from}\r\nTo: {to}{tag}\r\nCall-ID: {call_id}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_would_hold_a_thread_is_refused() {
        // One datagram of 53 KB whose To has thousands of parameters.
        let parameters: String = (0..7_000).map(|i| format!(";p{i}")).collect();
        let message = format!("OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b>{parameters}\r\n\r\n");
        assert!(message.len() > 40_000);
        assert_eq!(check(message.as_bytes()), Err(Refused::LongLine));
        let uri = format!("OPTIONS sip:a@b{parameters} SIP/2.0\r\n\r\n");
        assert_eq!(check(uri.as_bytes()), Err(Refused::LongLine));
        let folded = format!("OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b>{}\r\n\r\n", parameters.replace(";p9", "\r\n ;p9"));
        assert_eq!(check(folded.as_bytes()), Err(Refused::LongLine), "folding does not hide length");
    }

    #[test]
    fn a_long_body_is_no_long_line() {
        let message = format!("INVITE sip:a@b SIP/2.0\r\nTo: x\r\n\r\n{}", "v".repeat(20_000));
        assert_eq!(check(message.as_bytes()), Ok(()));
        assert_eq!(check(&vec![b'a'; 70_000]), Err(Refused::TooLarge));
        assert_eq!(check("a:b\r\n".repeat(300).as_bytes()), Err(Refused::ManyLines));
    }

    #[test]
    fn only_a_request_with_its_essentials_is_answered() {
        let request = b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z\r\nf: <sip:x@y>;tag=1\r\nt: <sip:a@b>\r\ni: 1@h\r\nCSeq: 1 OPTIONS\r\n\r\n";
        let answer = answer(request, 400, "Bad Request").unwrap();
        assert!(answer.starts_with("SIP/2.0 400 Bad Request\r\nVia: SIP/2.0/UDP h;branch=z\r\n") && answer.contains("Call-ID: 1@h"));
        assert!(super::answer(b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n", 400, "x").is_none());
        assert!(super::answer(b"ACK sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n", 400, "x").is_none());
        assert!(super::answer(b"\xff\xfe\x00", 400, "x").is_none());
    }
}
