//! One call, either way: INVITE client and server, its dialog, and its audio (RFC 3261 §12 to §15, §17; RFC 3264).
//!
//! Each call is a task that alone owns the state; [`Call`] sends it wishes and gets events. What must hold: every request
//! is answered once and the same answer repeats for its retransmissions; a 2xx is repeated until its ACK.

mod client;
mod server;

use std::sync::Arc;
use std::time::Instant as Moment;

use tokio::sync::mpsc;

use crate::media::Media;

pub use client::{place, receive};

/// How to place a call.
#[derive(Clone, Debug, Default)]
pub struct InviteOptions {
    /// `sip:USER@IPV4[:PORT]`.
    pub uri: String,
    /// Our URI in From; the phone's own when `None`.
    pub from: Option<String>,
    /// Display name in From.
    pub display: Option<String>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Noise under everything we send, looped; 8 kHz.
    pub noise: Option<Arc<[i16]>>,
}

/// What happens to a call, with the time.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent {
    /// A provisional response above 100 to our INVITE.
    Progress {
        /// SIP status.
        code: u16,
        /// When it came.
        at: Moment,
    },
    /// 2xx to our INVITE; the ACK is sent and audio runs.
    Answered {
        /// When it came.
        at: Moment,
    },
    /// The ACK for our 200 came.
    Confirmed {
        /// When it came.
        at: Moment,
    },
    /// No call came of it: a final response to our INVITE, 408 when there was none, 488 when the answer was no use.
    Failed {
        /// SIP status.
        code: u16,
        /// When.
        at: Moment,
    },
    /// The other side changed the session (re-INVITE or UPDATE) and we answered.
    Reoffered {
        /// When.
        at: Moment,
    },
    /// A digit by INFO.
    InfoDigit {
        /// Which.
        digit: char,
        /// When.
        at: Moment,
    },
    /// The other side ended the call: BYE, or CANCEL before we answered; `None` as reason unless it said one (RFC 3326).
    Ended {
        /// Value of the Reason header.
        reason: Option<String>,
        /// When.
        at: Moment,
    },
    /// We ended an answered call or refused one, and the other side knows (or is gone). A call that we cancel ends with
    /// `Failed`, 487 as a rule.
    HungUp {
        /// When our BYE or refusal was sent.
        at: Moment,
    },
}

/// A call. Dropping it hangs up, cancels or rejects, whichever fits.
#[derive(Debug)]
pub struct Call {
    call_id: String,
    media: Arc<Media>,
    wishes: mpsc::UnboundedSender<Wish>,
    events: mpsc::UnboundedReceiver<CallEvent>,
    /// When the INVITE was sent or came.
    pub invited: Moment,
}

impl Call {
    /// The Call-ID.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// Its audio.
    pub fn media(&self) -> &Arc<Media> {
        &self.media
    }

    /// The next event; `None` when nothing more can happen.
    pub async fn event(&mut self) -> Option<CallEvent> {
        self.events.recv().await
    }

    /// Ends it: BYE when answered, CANCEL while it rings there, 480 while it rings here.
    pub fn hang_up(&self) {
        let _ = self.wishes.send(Wish::End);
    }
}

/// A call that came in and is not answered yet. It gets no response at all until it is told to ring, answer or reject.
#[derive(Debug)]
pub struct Incoming {
    /// The INVITE, as text.
    pub invite: String,
    /// User part of From.
    pub from_user: String,
    /// Display name of From.
    pub from_display: Option<String>,
    /// The call.
    pub call: Call,
}

impl Incoming {
    /// 180 Ringing.
    pub fn ring(&self) {
        let _ = self.call.wishes.send(Wish::Ring);
    }

    /// 200 OK with our SDP.
    pub fn answer(self) -> Call {
        let _ = self.call.wishes.send(Wish::Answer);
        self.call
    }

    /// A final refusal, 486 or 603 for example.
    pub fn reject(self, code: u16) -> Call {
        let _ = self.call.wishes.send(Wish::Reject(code));
        self.call
    }
}

#[derive(Debug)]
enum Wish {
    Ring,
    Answer,
    Reject(u16),
    End,
}
