//! Who takes part: callers and agents with their habits, and the systems in between with their delays. Plain data.

use std::ops::Range;
use std::time::Duration;

use baton_intake::{ContactView, OrderView};

/// One caller's plan.
#[derive(Debug, Clone)]
pub struct Caller {
    /// When the INVITE comes, from the world's beginning.
    pub arrives: Duration,
    /// The calling number.
    pub from: String,
    /// What is said, one utterance for each time that it is the caller's turn; then nothing.
    pub says: Vec<String>,
    /// How long after a question's end the caller begins to speak.
    pub thinks: Duration,
    /// The caller does not wait for the end of what may be interrupted.
    pub impatient: bool,
    /// Hangs up so long after arriving, whatever happens.
    pub gives_up: Option<Duration>,
    /// Talks to an agent so long.
    pub talks: Duration,
    /// Presses this key so long after having been put in line.
    pub presses_in_line: Option<(Duration, char)>,
    /// Picks up so long after being called back, if at all.
    pub answers_callback: Option<Duration>,
    /// Puts us on hold so long after the join, for so long.
    pub holds: Option<(Duration, Duration)>,
}

impl Caller {
    /// A caller who says these things, patiently.
    pub fn saying(arrives: Duration, says: &[&str]) -> Self {
        Self {
            arrives,
            from: "+15551230001".into(),
            says: says.iter().map(|s| (*s).to_owned()).collect(),
            thinks: Duration::from_millis(700),
            impatient: false,
            gives_up: None,
            talks: Duration::from_secs(60),
            presses_in_line: None,
            answers_callback: Some(Duration::from_secs(4)),
            holds: None,
        }
    }
}

/// What an agent does when the phone rings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Habit {
    /// Picks up after so long, and then.
    PicksUp(Duration, Then),
    /// Lets it ring.
    Ignores,
    /// Refuses with this status.
    Refuses(u16),
}

/// What an agent does after picking up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Listens to the briefing's end, and talks for so long.
    Listens(Duration),
    /// Presses these keys, each so long after the answer, and talks for so long.
    Presses(Vec<(Duration, char)>, Duration),
    /// Hangs up so long after the answer.
    HangsUp(Duration),
    /// Is a mailbox: speaks on and on, and hears nothing.
    Mailbox,
    /// Does these things, each so long after the answer, and talks for so long.
    Does(Vec<(Duration, Deed)>, Duration),
}

/// What an agent's phone can do beside keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// A key.
    Presses(char),
    /// Puts us on hold, or takes us back.
    Holds(bool),
    /// Sends a REFER to this user.
    Refers(&'static str),
    /// A supervisor comes in, on this agent's talk.
    IsSupervised,
    /// The phone vanishes: no BYE comes of it, only silence or a dead transport.
    Vanishes,
}

/// One agent.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The extension.
    pub extension: String,
    /// When the phone registers.
    pub registers: Duration,
    /// When it goes away again.
    pub unregisters: Option<Duration>,
    /// One of these each time it rings, in turn.
    pub habits: Vec<Habit>,
}

impl Agent {
    /// An agent who is there from the beginning.
    pub fn who(extension: &str, habits: &[Habit]) -> Self {
        Self { extension: extension.into(), registers: Duration::ZERO, unregisters: None, habits: habits.to_vec() }
    }
}

/// The systems in between. Ranges are in milliseconds; each message draws its own delay.
#[derive(Debug, Clone)]
pub struct Between {
    /// One way through the network, for each SIP message.
    pub network: Range<u64>,
    /// Part of SIP messages that are lost; each costs a retransmission after T1 = 500 ms (RFC 3261 §17).
    pub loss: f64,
    /// From words to their first packet.
    pub voice: Range<u64>,
    /// From the end of the caller's words to their text.
    pub ear: Range<u64>,
    /// The CRM's answer.
    pub crm: Range<u64>,
    /// Part of case writes that fail for good.
    pub crm_fails: f64,
    /// Part of case writes that are never answered.
    pub crm_silent: f64,
    /// Part of numbers outside that answer.
    pub outside_answers: f64,
}

impl Default for Between {
    fn default() -> Self {
        Self {
            network: 5..40,
            loss: 0.0,
            voice: 20..200,
            ear: 500..900,
            crm: 10..80,
            crm_fails: 0.0,
            crm_silent: 0.0,
            outside_answers: 0.7,
        }
    }
}

/// The one customer of this world.
pub fn maria() -> ContactView {
    ContactView {
        id: "c1".into(),
        name: "Maria Gomez".into(),
        orders: vec![order()],
        matched_by: "caller_id".into(),
        ..ContactView::default()
    }
}

/// Her order.
pub fn order() -> OrderView {
    OrderView {
        number: "A-1042".into(),
        status: "delayed".into(),
        item: "blue kettle".into(),
        amount_cents: 4_999,
        eta: None,
    }
}
