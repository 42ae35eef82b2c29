//! What an INVITE or REFER says beside who calls whom: identities, the way the call took, what it is to replace. Reads
//! headers into plain data and judges nothing: an assertion is worth what the peer that sent it is worth.
//!
//! A value that cannot be read is left out; none of these headers is reason enough to refuse a call.

use bytes::Bytes;

use crate::api::{LegId, Party};
use crate::wire::{self, HeaderName, Headers};

/// At most this many values of one header are read.
const MOST: usize = 16;

/// What else an INVITE says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallDetails {
    /// P-Asserted-Identity (RFC 3325): at most a SIP and a tel identity.
    pub asserted: Vec<Party>,
    /// The caller wants its identity withheld: Privacy `id`, `user` or `header` (RFC 3323, 3325), or an anonymous From.
    pub anonymous: bool,
    /// Who sent the call on to us, the last first (RFC 5806).
    pub diversions: Vec<Diversion>,
    /// The targets the call went through, in order of their index (RFC 7044).
    pub history: Vec<HistoryHop>,
    /// User-to-User values (RFC 7433).
    pub user_to_user: Vec<UserToUser>,
    /// Referred-By (RFC 3892): who asked the caller to call us.
    pub referred_by: Option<Party>,
    /// The established leg of ours this call is to take the place of (RFC 3891). Answer the new one, then end that.
    pub replaces: Option<LegId>,
    /// The trunk the call came by, known by its source or its password.
    pub trunk: Option<String>,
}

/// One Diversion value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diversion {
    /// Whose number sent the call on.
    pub party: Party,
    /// `user-busy`, `no-answer`, `unconditional`, `unknown` and the like.
    pub reason: Option<String>,
    /// How often, if it says.
    pub counter: Option<u32>,
}

/// One History-Info value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryHop {
    /// The target.
    pub party: Party,
    /// Its place in the tree, as `1.2.1`.
    pub index: String,
    /// Why the call left it: the Reason header inside the URI, as `SIP;cause=486`.
    pub reason: Option<String>,
    /// The RFC 4458 cause parameter, as 302 or 408.
    pub cause: Option<u16>,
}

/// One User-to-User value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserToUser {
    /// The data: hex decoded where its encoding is `hex`, else as it stands.
    pub data: Vec<u8>,
    /// The package; `isdn-uui` where it does not say (RFC 7433 §4.1).
    pub purpose: String,
}

/// A Replaces value: names a dialog by what its holder calls local (to) and remote (from).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaces {
    /// Call-ID.
    pub call_id: String,
    /// The holder's own tag.
    pub to_tag: String,
    /// The tag of the holder's peer.
    pub from_tag: String,
    /// Only while the dialog is not established.
    pub early_only: bool,
}

/// Names a REFER of the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReferId(pub u64);

/// Whom a REFER asks us to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferTarget {
    /// The URI to call, without its headers.
    pub uri: String,
    /// User and host of it.
    pub party: Party,
    /// The dialog the new call is to replace: an attended transfer. Goes into the INVITE as `Replaces::field` has it.
    pub replaces: Option<Replaces>,
    /// That dialog, where it is one of ours: no INVITE is needed then, the two legs can be joined here.
    pub leg: Option<LegId>,
}

/// What is known of a REFER of ours. 202 is not success: only `Over` with a 2xx is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReferStep {
    /// 2xx to the REFER: the peer will try.
    Accepted,
    /// The peer's call, so far.
    Progress {
        /// A provisional status.
        code: u16,
    },
    /// How the peer's call ended.
    Over {
        /// Its final status.
        code: u16,
        /// Its reason phrase.
        reason: String,
    },
    /// The peer will not; 408 nothing came back.
    Refused {
        /// The status of the REFER.
        code: u16,
    },
    /// The peer said yes and never told how it ended, or the leg ended before.
    Unknown,
}

impl Replaces {
    /// Reads a Replaces value; `None` if a part is missing.
    pub fn parse(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let call_id = parts.next().filter(|c| !c.is_empty())?.to_owned();
        let (mut to_tag, mut from_tag, mut early_only) = (None, None, false);
        for part in parts {
            let (name, value) = part.split_once('=').map_or((part, ""), |(n, v)| (n.trim(), v.trim()));
            match name.to_ascii_lowercase().as_str() {
                "to-tag" => to_tag = Some(value.to_owned()),
                "from-tag" => from_tag = Some(value.to_owned()),
                "early-only" => early_only = true,
                _ => {}
            }
        }
        Some(Self { call_id, to_tag: to_tag?, from_tag: from_tag?, early_only })
    }

    /// The value, as it stands in a Replaces header.
    pub fn value(&self) -> String {
        let early = if self.early_only { ";early-only" } else { "" };
        format!("{};to-tag={};from-tag={}{early}", self.call_id, self.to_tag, self.from_tag)
    }

    /// The header of an INVITE that replaces that dialog.
    pub fn field(&self) -> (String, String) {
        ("Replaces".into(), self.value())
    }
}

/// All an INVITE says but for `replaces`, which needs the dialogs.
pub(crate) fn of_invite(headers: &Headers) -> CallDetails {
    let values = |name: &HeaderName| list(headers, name);
    let privacy = wire::rows(headers, &HeaderName::Privacy).join(";").to_ascii_lowercase();
    let withheld = privacy.split([';', ',']).any(|p| matches!(p.trim(), "id" | "user" | "header"));
    let from = headers.value(&HeaderName::From).map(|v| wire::party(&v)).unwrap_or_default();
    CallDetails {
        asserted: values(&HeaderName::PAssertedIdentity).iter().filter_map(|v| named_party(v)).collect(),
        anonymous: withheld || from.host == "anonymous.invalid" || from.user.eq_ignore_ascii_case("anonymous"),
        diversions: values(&wire::other("Diversion")).iter().filter_map(|v| diversion(v)).collect(),
        history: history(values(&HeaderName::HistoryInfo)),
        user_to_user: values(&wire::other("User-to-User")).iter().filter_map(|v| user_to_user(v)).collect(),
        referred_by: headers.value(&HeaderName::ReferredBy).and_then(|v| named_party(&v)),
        replaces: None,
        trunk: None,
    }
}

/// Refer-To (RFC 3515 §2.1): one address; the headers of its URI may hold Replaces, and must not ask for another method.
pub(crate) fn refer_target(headers: &Headers) -> Result<ReferTarget, &'static str> {
    let rows = list(headers, &HeaderName::ReferTo);
    let [value] = rows.as_slice() else { return Err("Refer-To must stand once") };
    let address = wire::Address::parse(value, "Refer-To").map_err(|_| "malformed Refer-To")?;
    let text = wire::uri_text(&address.uri);
    let (uri, asked) = text.split_once('?').unwrap_or((&text, ""));
    if address.uri.params().and_then(|p| p.value("method")).is_some_and(|m| !m.eq_ignore_ascii_case(b"INVITE")) {
        return Err("Refer-To asks for another method than INVITE");
    }
    let mut replaces = None;
    for header in asked.split('&').filter(|h| !h.is_empty()) {
        let (name, value) = header.split_once('=').unwrap_or((header, ""));
        if name.eq_ignore_ascii_case("replaces") {
            replaces = Some(Replaces::parse(&unescape(value)).ok_or("malformed Replaces in Refer-To")?);
        }
    }
    let uri = uri.to_owned();
    let bare = wire::Uri::parse(Bytes::from(uri.clone())).map_err(|_| "malformed Refer-To")?;
    let party = Party { user: wire::user_text(&bare), host: wire::host_text(&bare), ..Party::default() };
    Ok(ReferTarget { uri, party, replaces, leg: None })
}

/// The values of a comma-separated header, over all its rows.
pub(crate) fn list(headers: &Headers, name: &HeaderName) -> Vec<Vec<u8>> {
    let rows: Vec<_> = headers.get_all(name).map(|h| h.value().into_owned()).collect();
    let mut values = Vec::new();
    for row in &rows {
        // A comma inside <> belongs to the URI.
        let (mut from, mut depth, mut quoted, mut escaped) = (0, 0usize, false, false);
        for (i, byte) in row.iter().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if quoted => escaped = true,
                b'"' => quoted = !quoted,
                b'<' if !quoted => depth += 1,
                b'>' if !quoted => depth = depth.saturating_sub(1),
                b',' if !quoted && depth == 0 => {
                    values.push(row[from..i].trim_ascii().to_vec());
                    from = i + 1;
                }
                _ => {}
            }
        }
        values.push(row[from..].trim_ascii().to_vec());
    }
    values.retain(|v| !v.is_empty());
    values.truncate(MOST);
    values
}

fn named_party(value: &[u8]) -> Option<Party> {
    Some(wire::party(value)).filter(|p| !p.user.is_empty() || !p.host.is_empty())
}

fn diversion(value: &[u8]) -> Option<Diversion> {
    let address = wire::Address::parse(value, "Diversion").ok()?;
    let text = |name| address.param(name).map(|v| String::from_utf8_lossy(v).trim_matches('"').to_owned());
    let counter = text("counter").and_then(|c| c.parse().ok());
    Some(Diversion { party: named_party(value)?, reason: text("reason"), counter })
}

fn history(values: Vec<Vec<u8>>) -> Vec<HistoryHop> {
    let mut hops: Vec<HistoryHop> = values.iter().filter_map(|v| hop(v)).collect();
    let key = |hop: &HistoryHop| -> Vec<u32> { hop.index.split('.').map(|n| n.parse().unwrap_or(0)).collect() };
    hops.sort_by_key(key);
    hops
}

fn hop(value: &[u8]) -> Option<HistoryHop> {
    let address = wire::Address::parse(value, "History-Info").ok()?;
    let index = String::from_utf8_lossy(address.param("index").unwrap_or(b"1")).into_owned();
    let text = wire::uri_text(&address.uri);
    let asked = text.split_once('?').map_or("", |(_, h)| h);
    let reason = asked.split('&').find_map(|h| {
        let (name, value) = h.split_once('=')?;
        name.eq_ignore_ascii_case("reason").then(|| unescape(value))
    });
    let cause =
        address.uri.params().and_then(|p| p.value("cause")).and_then(|c| std::str::from_utf8(c).ok()?.parse().ok());
    let party = Party { user: wire::user_text(&address.uri), host: wire::host_text(&address.uri), ..Party::default() };
    Some(HistoryHop { party, index, reason, cause })
}

fn user_to_user(value: &[u8]) -> Option<UserToUser> {
    let parts = wire::split_unquoted(value, b';');
    let (data, params) = parts.split_first()?;
    let param = |name: &str| {
        params.iter().find_map(|p| {
            let text = String::from_utf8_lossy(p).into_owned();
            let (n, v) = text.split_once('=')?;
            n.trim().eq_ignore_ascii_case(name).then(|| v.trim().trim_matches('"').to_owned())
        })
    };
    let data = data.trim_ascii();
    let quoted = data.first() == Some(&b'"');
    let data = String::from_utf8_lossy(data).trim_matches('"').to_owned();
    let hex = param("encoding").map_or(!quoted, |e| e.eq_ignore_ascii_case("hex"));
    let data = if hex { unhex(&data)? } else { data.into_bytes() };
    Some(UserToUser { data, purpose: param("purpose").unwrap_or_else(|| "isdn-uui".into()) })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// `%3B` and the like, back to what they stand for.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let code = (bytes[i] == b'%').then(|| text.get(i + 1..i + 3).and_then(unhex)).flatten();
        match code {
            Some(byte) => {
                out.extend(byte);
                i += 3;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in lines {
            wire::push(&mut headers, wire::named(name), *value);
        }
        headers
    }

    #[test]
    fn identities_and_the_way_of_the_call() {
        let details = of_invite(&headers(&[
            ("From", "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=1"),
            ("P-Asserted-Identity", "\"Ann, B\" <sip:+15551@c.example;user=phone>, <tel:+15551>"),
            ("Privacy", "id; critical"),
            ("Diversion", "<sip:100@pbx>;reason=no-answer;counter=2, <sip:200@pbx>;reason=\"user-busy\""),
            ("History-Info", "<sip:200@pbx;cause=408?Reason=SIP%3Bcause%3D408>;index=1.1"),
            ("History-Info", "<sip:100@pbx?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1"),
            ("User-to-User", "48656c6c6f;encoding=hex;purpose=x, \"plain; text\", 4"),
            ("Referred-By", "<sip:boss@pbx>;cid=1"),
        ]));
        assert!(details.anonymous);
        assert_eq!(details.asserted.iter().map(|p| p.user.as_str()).collect::<Vec<_>>(), ["+15551", "+15551"]);
        assert_eq!(details.asserted[0].display.as_deref(), Some("Ann, B"));
        let [last, first] = details.diversions.as_slice() else { panic!() };
        assert_eq!(
            (last.party.user.as_str(), last.reason.as_deref(), last.counter),
            ("100", Some("no-answer"), Some(2))
        );
        assert_eq!((first.party.user.as_str(), first.reason.as_deref()), ("200", Some("user-busy")));
        let [one, two] = details.history.as_slice() else { panic!() };
        assert_eq!((one.party.user.as_str(), one.reason.as_deref()), ("100", Some("SIP;cause=486;text=\"Busy\"")));
        assert_eq!((two.index.as_str(), two.cause), ("1.1", Some(408)));
        assert_eq!(details.user_to_user.len(), 2, "odd hex is left out");
        assert_eq!((&*details.user_to_user[0].data, &*details.user_to_user[0].purpose), (&b"Hello"[..], "x"));
        assert_eq!(&*details.user_to_user[1].data, b"plain; text");
        assert_eq!(details.referred_by.unwrap().user, "boss");
        let plain = of_invite(&headers(&[("From", "<sip:bob@b>;tag=1"), ("Privacy", "none")]));
        assert_eq!(plain, CallDetails::default());
    }

    #[test]
    fn refer_to_with_and_without_replaces() {
        let target = |value: &str| refer_target(&headers(&[("Refer-To", value)]));
        let blind = target("<sip:200@pbx;user=phone>").unwrap();
        assert_eq!((blind.uri.as_str(), blind.party.user.as_str()), ("sip:200@pbx;user=phone", "200"));
        let attended =
            target("\"X\" <sip:200@pbx?Replaces=a%40b%3Bto-tag%3D7%3Bfrom-tag%3D8%3Bearly-only&Subject=x>").unwrap();
        let replaces = attended.replaces.unwrap();
        assert_eq!(replaces.value(), "a@b;to-tag=7;from-tag=8;early-only");
        assert_eq!(target("tel:+15550100").unwrap().party.user, "+15550100");
        for bad in ["", "<", "<sip:a@b>, <sip:c@d>", "<sip:a@b;method=BYE>", "<sip:a@b?Replaces=x>"] {
            assert!(target(bad).is_err(), "{bad}");
        }
        assert!(refer_target(&Headers::new()).is_err());
    }
}
