//! The API of a gateway that runs, asked by the other commands: it has the store, and what it does it must know of.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::Config;

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks. The status and the body.
pub fn ask(config: &Config, method: &str, path: &str) -> Result<(u16, String), String> {
    let Some(addr) = config.http else {
        return Err("the gateway that runs has no API\n    set [http] bind, or stop it first".into());
    };
    exchange(addr, config.http_token.as_deref(), method, path).map_err(|e| {
        format!("the gateway that runs does not answer on {addr}: {e}\n    is it another config's? give that one by --config")
    })
}

fn exchange(addr: SocketAddr, token: Option<&str>, method: &str, path: &str) -> std::io::Result<(u16, String)> {
    // What is bound to every address is reached by this machine's own.
    let addr = if addr.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], addr.port())) } else { addr };
    let mut stream = TcpStream::connect_timeout(&addr, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    // HTTP/1.0: the answer comes in one piece and ends with the connection.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {addr}\r\n{token}Content-Length: 0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "that is no HTTP");
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(invalid)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(invalid)?;
    Ok((status, body.to_owned()))
}

/// One part of a path or a query, percent-encoded (RFC 3986 section 2.1).
pub fn part(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02X}") }).collect()
}
