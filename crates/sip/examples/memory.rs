//! What a finished call keeps while its transactions linger, and what the core alone costs a call: `cargo run --release
//! --example memory`. Time is virtual, allocations are counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::error::Error;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use baton_sip::{Core, CoreOutput, Flow, LegId, Listener, SipCommand, SipConfig, SipEvent, Transport};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's layout is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the block came from `alloc` above with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CALLS: usize = 10_000;
const OFFER: &str = "v=0\r\no=u 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
const ANSWER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 20000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=ptime:20\r\na=sendrecv\r\n";

fn request(method: &str, call: usize, cseq: u32, to_tag: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:help@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bK-77-{call}-{method}\r\nFrom: sipp <sip:sipp@192.0.2.9:5070>;tag=77SIPpTag00{call}\r\nTo: help <sip:help@192.0.2.1:5060>{to_tag}\r\nCall-ID: {call}-77@192.0.2.9\r\nCSeq: {cseq} {method}\r\nContact: sip:sipp@192.0.2.9:5070\r\nMax-Forwards: 70\r\nSubject: Performance Test\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

struct House {
    core: Core,
    flow: Flow,
}

impl House {
    /// Sends a message, and gives the last one that came back.
    fn send(&mut self, now: Instant, message: String) -> Option<String> {
        self.core.receive(now, self.flow, message.into());
        self.last()
    }

    fn last(&mut self) -> Option<String> {
        let mut last = None;
        while let Some(output) = self.core.poll_output() {
            if let CoreOutput::Send { bytes, .. } = output {
                last = Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        last
    }

    fn call_in(&mut self, now: Instant, call: usize) -> Option<()> {
        self.send(now, request("INVITE", call, 1, "", OFFER));
        let SipEvent::Incoming { leg, .. } = self.core.poll_event()? else { return None };
        self.core.command(now, SipCommand::Ring { leg });
        self.core.command(now, SipCommand::Answer { leg, sdp: ANSWER.into() });
        let ok = self.last()?;
        let tag = ok.lines().find(|l| l.starts_with("To:"))?.split(";tag=").nth(1)?.to_owned();
        self.send(now, request("ACK", call, 1, &format!(";tag={tag}"), ""));
        self.send(now, request("BYE", call, 2, &format!(";tag={tag}"), ""));
        while self.core.poll_event().is_some() {}
        Some(())
    }

    fn call_out(&mut self, now: Instant, call: usize) -> Option<()> {
        let leg = LegId(call as u64 * 2 + 1);
        let (uri, from_user) = ("sip:1001@192.0.2.9:5070".to_owned(), "100".to_owned());
        let (from_display, headers, sdp) = (None, vec![], ANSWER.to_owned());
        self.core.command(now, SipCommand::InviteUri { leg, uri, from_user, from_display, headers, sdp });
        let invite = self.last()?;
        self.send(now, reply(&invite, "180 Ringing", ""));
        self.send(now, reply(&invite, "200 OK", OFFER));
        self.core.command(now, SipCommand::Bye { leg, reason: None });
        let bye = self.last()?;
        self.send(now, reply(&bye, "200 OK", ""));
        while self.core.poll_event().is_some() {}
        Some(())
    }
}

/// The peer's answer to a request of ours.
fn reply(request: &str, status: &str, body: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().take_while(|l| !l.is_empty()) {
        let name = line.split(':').next().unwrap_or_default();
        let tag = if name == "To" && !line.contains("tag=") { ";tag=peer" } else { "" };
        if matches!(name, "Via" | "From" | "To" | "Call-ID" | "CSeq") {
            text.push_str(&format!("{line}{tag}\r\n"));
        }
    }
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    text + &format!("Contact: <sip:1001@192.0.2.9:5070>\r\n{kind}Content-Length: {}\r\n\r\n{body}", body.len())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    writeln!(
        out,
        "{:<22} {:>14} {:>16} {:>16} {:>12}",
        "calls", "µs/call", "B/call at once", "B/call at 10 s", "left B/call"
    )?;
    for (name, incoming) in [("come in", true), ("placed", false)] {
        let (addr, remote) = ("192.0.2.1:5060".parse()?, "192.0.2.9:5070".parse()?);
        let config = SipConfig { numbers: vec!["*".into()], ..SipConfig::default() };
        let began = Instant::now();
        let core = Core::new(began, config, vec![Listener::new(Transport::Udp, addr)], [7; 32]);
        let flow = Flow { transport: Transport::Udp, listener: 0, local: addr, remote, connection: None };
        let mut house = House { core, flow };
        let before = LIVE.load(Ordering::Relaxed);
        let clock = Instant::now();
        let mut now = began;
        for call in 0..CALLS {
            now = began + Duration::from_micros(call as u64 * 100);
            let done = if incoming { house.call_in(now, call) } else { house.call_out(now, call) };
            done.ok_or("a call went wrong")?;
            house.core.fire(now);
        }
        let spent = clock.elapsed();
        let at_once = LIVE.load(Ordering::Relaxed) - before;
        now += Duration::from_secs(10);
        house.core.fire(now);
        let later = LIVE.load(Ordering::Relaxed) - before;
        now += Duration::from_secs(60);
        house.core.fire(now);
        let left = LIVE.load(Ordering::Relaxed).saturating_sub(before);
        writeln!(
            out,
            "{name:<22} {:>14.1} {:>16} {:>16} {:>12}    {:?}",
            spent.as_secs_f64() * 1e6 / CALLS as f64,
            at_once / CALLS,
            later / CALLS,
            left / CALLS,
            house.core.sizes()
        )?;
    }
    Ok(())
}
