//! Header fields for the calls we place: who calls, which case it is. They go into `headers` of `SipCommand::Invite` and
//! `InviteUri`; what could break a message is escaped or left out.

/// The package our User-to-User data belongs to, until there is a registered one.
pub const UUI_PURPOSE: &str = "x-baton";

/// User-to-User (RFC 7433) with the call's id and a reference to its context, hex encoded as ISDN gateways want it. Text
/// inside: `call=<id>;context=<reference>`; no reference that would not fit into the 128 octets ISDN carries.
pub fn user_to_user(call_id: &str, context: &str) -> (String, String) {
    let both = format!("call={call_id};context={context}");
    // Half an address leads nowhere.
    let text = if context.is_empty() || both.len() > 128 { format!("call={call_id}") } else { both };
    let hex: String = text.bytes().take(128).map(|b| format!("{b:02x}")).collect();
    ("User-to-User".into(), format!("{hex};encoding=hex;purpose={UUI_PURPOSE}"))
}

/// P-Asserted-Identity (RFC 3325 §9.1). Only towards peers of the same trust domain: our own agents' phones, not carriers who
/// did not ask for it.
pub fn asserted_identity(user: &str, host: &str, display: Option<&str>) -> (String, String) {
    ("P-Asserted-Identity".into(), format!("{}<sip:{}@{host}>", quoted(display), escape_user(user)))
}

/// Call-Info (RFC 3261 §20.9) with a URL the agent's phone or desk may open. `None` if the URL could leave its brackets.
pub fn call_info(url: &str, purpose: &str) -> Option<(String, String)> {
    let clean = |b: u8| b.is_ascii_graphic() && !matches!(b, b'<' | b'>' | b'"');
    let token = |b: u8| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b);
    let fits = !url.is_empty() && url.bytes().all(clean) && !purpose.is_empty() && purpose.bytes().all(token);
    fits.then(|| ("Call-Info".into(), format!("<{url}>;purpose={purpose}")))
}

/// A Reason value (RFC 3326) with a SIP status, for `Bye` and `CancelFor`.
pub fn reason(status: u16, text: &str) -> String {
    let text = text.replace(|c: char| c.is_control(), " ").replace('\\', "\\\\").replace('"', "\\\"");
    format!("SIP;cause={status};text=\"{text}\"")
}

/// The Reason of a CANCEL to phones that need not ring any more, because somebody has taken the call (RFC 3326 §3.1): they do
/// not list it as missed.
pub fn completed_elsewhere() -> String {
    reason(200, "Call completed elsewhere")
}

/// A display name, quoted, with the space behind it; nothing if there is none.
pub(crate) fn quoted(display: Option<&str>) -> String {
    let clean = |d: &str| d.replace(|c: char| c.is_control(), " ").replace('\\', "\\\\").replace('"', "\\\"");
    display.filter(|d| !d.is_empty()).map(|d| format!("\"{}\" ", clean(d))).unwrap_or_default()
}

/// The user part of a URI, what may not stand there escaped.
pub(crate) fn escape_user(user: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,/".contains(&b);
    user.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// A value inside the headers of a URI, what may not stand there escaped.
pub(crate) fn escape_header(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&b);
    value.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::details;
    use crate::wire::{self, Headers};

    #[test]
    fn what_we_write_can_be_read() {
        let mut headers = Headers::new();
        for (name, value) in
            [user_to_user("call-1", "https://x/1"), asserted_identity("+1 55", "b.example", Some("A \"B\""))]
        {
            wire::push(&mut headers, wire::named(&name), value);
        }
        let read = details::of_invite(&headers);
        assert_eq!(read.user_to_user[0].data, b"call=call-1;context=https://x/1");
        assert_eq!(read.user_to_user[0].purpose, UUI_PURPOSE);
        assert_eq!(read.asserted[0].user, "+1 55");
    }

    #[test]
    fn nothing_leaves_its_place() {
        assert_eq!(reason(480, "a\r\nb \"c\""), "SIP;cause=480;text=\"a  b \\\"c\\\"\"");
        assert_eq!(call_info("https://b.example/c/1", "info").unwrap().1, "<https://b.example/c/1>;purpose=info");
        for (url, purpose) in [("", "info"), ("http://a>;x", "info"), ("http://a b", "info"), ("http://a", "in fo")] {
            assert_eq!(call_info(url, purpose), None);
        }
        assert!(user_to_user(&"x".repeat(500), "").1.len() < 300);
    }
}
