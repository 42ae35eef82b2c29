//! What bytes must look like before anything parses them, and how a stream is cut into messages.
//!
//! The parser behind checks a URI's parameters for duplicates in quadratic time and bounds no start line: one datagram
//! of 53 KB would hold a thread for seconds. So lengths and counts are bounded here, in one pass, before it sees a byte.
//! What must always hold: the work done here is linear in the bytes received, and a refusal costs no memory.

use bytes::{Buf, Bytes, BytesMut};

/// The largest message looked at, datagram or stream: a UDP datagram cannot be larger.
pub const MAX_MESSAGE: usize = 65_535;
/// The longest start line.
pub const MAX_START_LINE: usize = 2_048;
/// The longest header field that bears URIs or parameters, folds included. RFC 4475's longest is 594.
pub const MAX_ADDRESS_LINE: usize = 3_072;
/// The longest header field of any other kind.
pub const MAX_LINE: usize = 8_192;
/// The most header fields.
pub const MAX_HEADERS: usize = 160;
/// The most parameters of one URI.
pub const MAX_PARAMETERS: usize = 32;
/// The largest header section.
pub const MAX_HEAD: usize = 32_768;

/// Why bytes are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Larger than [`MAX_MESSAGE`], or a header section larger than [`MAX_HEAD`].
    #[error("message too large")]
    TooLarge,
    /// A start line longer than [`MAX_START_LINE`].
    #[error("start line of more than {MAX_START_LINE} bytes")]
    StartLine,
    /// A header field longer than it may be.
    #[error("header field too long")]
    HeaderLine,
    /// More than [`MAX_HEADERS`] fields.
    #[error("more than {MAX_HEADERS} header fields")]
    HeaderCount,
    /// A URI with more than [`MAX_PARAMETERS`] parameters.
    #[error("more than {MAX_PARAMETERS} parameters in a URI")]
    Parameters,
}

impl Refusal {
    /// The status to answer with, where an answer can be made.
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 513,
            Self::StartLine => 414,
            Self::HeaderLine | Self::HeaderCount | Self::Parameters => 400,
        }
    }
}

/// Checks the sizes of one message.
pub fn check(message: &[u8]) -> Result<(), Refusal> {
    if message.len() > MAX_MESSAGE {
        return Err(Refusal::TooLarge);
    }
    let head = head_of(message);
    if head.len() > MAX_HEAD {
        // A long start line is the likelier complaint, and the more useful answer.
        let start = head.iter().position(|b| *b == b'\n').unwrap_or(head.len());
        return Err(if start > MAX_START_LINE { Refusal::StartLine } else { Refusal::TooLarge });
    }
    let mut fields = 0;
    for field in (Fields { rest: head }) {
        let most = match fields {
            0 => MAX_START_LINE,
            _ if bears_uris(field) => MAX_ADDRESS_LINE,
            _ => MAX_LINE,
        };
        if field.len() > most {
            return Err(if fields == 0 { Refusal::StartLine } else { Refusal::HeaderLine });
        }
        if parameters(field, fields == 0) > MAX_PARAMETERS {
            return Err(Refusal::Parameters);
        }
        fields += 1;
        if fields > MAX_HEADERS + 1 {
            return Err(Refusal::HeaderCount);
        }
    }
    Ok(())
}

/// Whether the bytes are a keepalive: nothing but CR, LF and NUL (RFC 5626 §3.5.1 and what phones make of it).
pub fn is_keepalive(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0))
}

/// Cuts a byte stream into messages by Content-Length (RFC 3261 §18.3), without parsing them.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: BytesMut,
    /// How far the end of the header section has been looked for.
    scanned: usize,
}

/// What a stream yields next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// One whole message.
    Message(Bytes),
    /// CRLF CRLF between messages: a ping, to be answered with CRLF (RFC 5626 §4.4.1).
    Ping,
    /// A STUN message between messages (RFC 5626 §4.4.2).
    Stun(Bytes),
    /// Nothing whole yet.
    More,
}

/// Why a stream cannot be cut any more. The connection must be closed; `head` may still be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct FramingError {
    /// In words.
    pub why: &'static str,
    /// Status for the answer.
    pub status: u16,
    /// The header section that could not be used.
    pub head: Bytes,
}

impl Framer {
    /// Appends what was received.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes of a message that is not whole yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> Result<Frame, FramingError> {
        let blank = self.buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if blank > 0 {
            self.buffer.advance(blank);
            self.scanned = 0;
            if blank >= 4 && self.buffer.is_empty() {
                return Ok(Frame::Ping);
            }
        }
        match crate::stun::length(&self.buffer) {
            Some(length) if self.buffer.len() >= length => {
                self.scanned = 0;
                return Ok(Frame::Stun(self.buffer.split_to(length).freeze()));
            }
            Some(_) => return Ok(Frame::More),
            None if crate::stun::may_begin(&self.buffer) && self.buffer.len() < 20 => return Ok(Frame::More),
            None => {}
        }
        let from = self.scanned;
        let Some(head) = self.buffer[from..].windows(4).position(|w| w == b"\r\n\r\n").map(|i| from + i + 4) else {
            self.scanned = self.buffer.len().saturating_sub(3);
            if self.buffer.len() > MAX_HEAD {
                return Err(self.broken("header section too large", 513));
            }
            return Ok(Frame::More);
        };
        let body = match content_length(&self.buffer[..head]) {
            Ok(body) => body,
            Err(why) => return Err(self.broken(why, 400)),
        };
        if body > MAX_MESSAGE || head + body > MAX_MESSAGE {
            return Err(self.broken("message too large", 513));
        }
        if self.buffer.len() < head + body {
            return Ok(Frame::More);
        }
        self.scanned = 0;
        let message = Bytes::copy_from_slice(&self.buffer[..head + body]);
        self.buffer.advance(head + body);
        Ok(Frame::Message(message))
    }

    fn broken(&mut self, why: &'static str, status: u16) -> FramingError {
        let head = Bytes::copy_from_slice(&self.buffer[..self.buffer.len().min(MAX_HEAD)]);
        self.buffer.clear();
        FramingError { why, status, head }
    }
}

/// The header section, blank line excluded; all of it when there is none.
pub(crate) fn head_of(message: &[u8]) -> &[u8] {
    let end = message.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(message.len());
    &message[..end]
}

/// The logical lines of a header section: a line that starts with a blank continues the one before (RFC 3261 §7.3.1).
pub(crate) struct Fields<'a> {
    pub rest: &'a [u8],
}

impl<'a> Iterator for Fields<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let mut from = 0;
        loop {
            let Some(end) = self.rest[from..].iter().position(|b| *b == b'\n').map(|i| from + i) else {
                return Some(std::mem::take(&mut self.rest));
            };
            if !matches!(self.rest.get(end + 1), Some(b' ' | b'\t')) {
                let (field, rest) = self.rest.split_at(end + 1);
                self.rest = rest;
                return Some(field.strip_suffix(b"\r\n").or(field.strip_suffix(b"\n")).unwrap_or(field));
            }
            from = end + 1;
        }
    }
}

/// The name of a header field, without the blanks that may precede its colon.
pub(crate) fn field_name(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == b':').unwrap_or(field.len());
    field[..end].trim_ascii()
}

fn bears_uris(field: &[u8]) -> bool {
    const NAMES: [&str; 20] = [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "contact",
        "m",
        "route",
        "record-route",
        "path",
        "service-route",
        "refer-to",
        "r",
        "referred-by",
        "b",
        "reply-to",
        "p-asserted-identity",
        "p-preferred-identity",
        "history-info",
    ];
    let name = field_name(field);
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// The most semicolons one URI of the field has: between `<` and `>`, or anywhere in a start line.
fn parameters(field: &[u8], start_line: bool) -> usize {
    let (mut most, mut here, mut inside) = (0, 0, start_line);
    for byte in field {
        match byte {
            b'<' => (here, inside) = (0, true),
            b'>' => inside = start_line,
            b';' if inside => {
                here += 1;
                most = most.max(here);
            }
            _ => {}
        }
    }
    most
}

/// Content-Length of a header section; 0 where it is missing, which many stream peers take it to mean.
fn content_length(head: &[u8]) -> Result<usize, &'static str> {
    let mut found = None;
    for field in (Fields { rest: head }).skip(1) {
        let name = field_name(field);
        if !name.eq_ignore_ascii_case(b"content-length") && !name.eq_ignore_ascii_case(b"l") {
            continue;
        }
        let value = field.splitn(2, |b| *b == b':').nth(1).unwrap_or_default().trim_ascii();
        if found.is_some() {
            return Err("repeated Content-Length");
        }
        if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
            return Err("unusable Content-Length");
        }
        found = Some(value.iter().fold(0, |n, digit| n * 10 + usize::from(digit - b'0')));
    }
    Ok(found.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The datagram that held the parser for 3.2 s: thousands of distinct URI parameters.
    fn quadratic(place: &str) -> Vec<u8> {
        let parameters: String = (0..9_000).map(|i| format!(";p{i}")).collect();
        let uri = format!("sip:a@b{parameters}");
        let (start, to) =
            if place == "start" { (uri.as_str(), "<sip:a@b>") } else { ("sip:a@b", &*format!("<{uri}>")) };
        let message = format!("OPTIONS {start} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nTo: {to}\r\n\r\n");
        message.into_bytes()
    }

    #[test]
    fn the_quadratic_datagram_is_refused_before_it_is_parsed() {
        assert!(quadratic("to").len() > 45_000);
        assert_eq!(check(&quadratic("start")), Err(Refusal::StartLine));
        assert_eq!(check(&quadratic("to")), Err(Refusal::TooLarge));
        let short: String = (0..40).map(|i| format!(";p{i}")).collect();
        assert_eq!(check(format!("OPTIONS sip:a@b{short} SIP/2.0\r\n\r\n").as_bytes()), Err(Refusal::Parameters));
        assert_eq!(
            check(format!("OPTIONS sip:a@b SIP/2.0\r\nTo: <sip:a@b{short}>\r\n\r\n").as_bytes()),
            Err(Refusal::Parameters)
        );
        let folded = "x".repeat(100) + "\r\n ";
        assert_eq!(
            check(format!("A b SIP/2.0\r\nm: {}\r\n\r\n", folded.repeat(40)).as_bytes()),
            Err(Refusal::HeaderLine)
        );
    }

    #[test]
    fn counts_and_sizes() {
        let many = format!("OPTIONS sip:a@b SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS + 1));
        assert_eq!(check(many.as_bytes()), Err(Refusal::HeaderCount));
        let fits = format!("OPTIONS sip:a@b SIP/2.0\r\n{}\r\n", "X: y\r\n".repeat(MAX_HEADERS));
        assert_eq!(check(fits.as_bytes()), Ok(()));
        let body = format!("MESSAGE sip:a@b SIP/2.0\r\n\r\n{}", "<;;;;;".repeat(9_000));
        assert_eq!(check(body.as_bytes()), Ok(()), "a body is no header");
        assert_eq!(check(&vec![b'a'; 70_000]), Err(Refusal::TooLarge));
        assert!(is_keepalive(b"\r\n\r\n") && is_keepalive(b"\0") && !is_keepalive(b"\r\nx"));
    }

    #[test]
    fn a_stream_is_cut_wherever_it_is_split() {
        let one = "OPTIONS sip:a SIP/2.0\r\nl : 3\r\n\r\nabc";
        let two = "BYE sip:a SIP/2.0\r\nContent-Length:\r\n 0\r\n\r\n";
        let stream = format!("\r\n{one}\r\n\r\n{two}");
        for cut in 0..stream.len() {
            let (mut framer, mut got) = (Framer::default(), Vec::new());
            for part in [&stream[..cut], &stream[cut..]] {
                framer.push(part.as_bytes());
                loop {
                    match framer.next_frame().unwrap() {
                        Frame::Message(m) => got.push(String::from_utf8(m.to_vec()).unwrap()),
                        Frame::Ping | Frame::Stun(_) => {}
                        Frame::More => break,
                    }
                }
            }
            assert_eq!(got, [one, two], "cut at {cut}");
            assert_eq!(framer.pending(), 0);
        }
    }

    #[test]
    fn a_stream_that_cannot_be_cut_is_given_up() {
        for (head, status) in [
            ("A b SIP/2.0\r\nContent-Length: -1\r\n\r\n", 400),
            ("A b SIP/2.0\r\nContent-Length: 1\r\nl: 1\r\n\r\n", 400),
            ("A b SIP/2.0\r\nContent-Length: 999999\r\n\r\n", 513),
        ] {
            let mut framer = Framer::default();
            framer.push(head.as_bytes());
            assert_eq!(framer.next_frame().unwrap_err().status, status, "{head}");
        }
        let mut framer = Framer::default();
        framer.push(&vec![b'a'; MAX_HEAD + 1]);
        assert_eq!(framer.next_frame().unwrap_err().status, 513);
        framer.push(b"\r\n\r\n");
        assert_eq!(framer.next_frame(), Ok(Frame::Ping));
    }
}
