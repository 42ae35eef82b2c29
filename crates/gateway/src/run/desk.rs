//! The agents' desk: one task owns who is there and who waits. Calls want agents and give them back, registrations tell it
//! who is there. It decides nothing itself, `baton-agents` does; this brings the decisions to the calls.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use baton_agents::{AgentState, Desk as Floor, Event, Input as FloorInput, Left, Plan, Released, Waiter, Want, Wish};
use baton_call::{Input, Offered, Ticket};
use baton_store::Store;
use jiff::{Timestamp, Zoned};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::{error, info, warn};

use super::shared::{CallEvent, Inbox};

/// What a call, the registrar or the API tells the desk.
pub enum Request {
    /// Something that `baton-agents` knows by itself.
    Tell(FloorInput),
    /// A call wants an agent; what comes of it goes to its inbox.
    Wants(Want, Inbox),
    /// A caller is being promised a call: on disk at once, in line when the caller has hung up.
    Note(Box<Ticket>),
    /// A caller was promised a call: keep the place.
    Promise(Box<Ticket>, Instant),
    /// A promise that could not be kept is tried again now.
    Again(Box<Ticket>, Instant),
    /// The promise was kept, or cannot be.
    Kept(String),
    /// Who is there and what they are doing, for the API.
    List { answer: oneshot::Sender<Vec<(String, AgentState)>> },
    /// An agent wishes something; in answer the state they are in then. `None`: no such agent.
    Set { extension: String, wish: Wish, answer: oneshot::Sender<Option<AgentState>> },
}

/// The desk's address.
pub type Desk = mpsc::Sender<Request>;

/// A promised call that is to begin: an agent is there for it.
pub struct CallBack {
    pub ticket: Ticket,
    pub since: Instant,
    pub agents: Vec<Offered>,
}

/// Starts the desk's task. Promises that an earlier process made are taken up again.
pub async fn start(plan: Plan, store: Store) -> (Desk, mpsc::Receiver<CallBack>) {
    let (desk, requests) = mpsc::channel(1_024);
    let (begin, begun) = mpsc::channel(64);
    let now = Instant::now();
    let mut counter = Counter {
        floor: Floor::new(now, Zoned::now(), plan),
        inboxes: HashMap::new(),
        tickets: HashMap::new(),
        begin,
        desk: desk.clone(),
        store,
    };
    counter.take_up(now).await;
    tokio::spawn(counter.serve(requests));
    (desk, begun)
}

struct Counter {
    floor: Floor,
    inboxes: HashMap<Waiter, Inbox>,
    tickets: HashMap<String, (Ticket, Instant)>,
    begin: mpsc::Sender<CallBack>,
    /// Its own address, for what comes later.
    desk: Desk,
    store: Store,
}

/// How long before a promised call is tried again: one minute, then twice as long each time, a quarter of an hour at most.
fn pause_before(tries: u32) -> Option<Duration> {
    let minutes = 1_u64 << tries.checked_sub(1)?.min(4);
    Some(Duration::from_secs(60 * minutes.min(15)))
}

impl Counter {
    async fn serve(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            let wake = self.floor.poll_timeout();
            tokio::select! {
                request = requests.recv() => match request {
                    Some(request) => self.handle(Instant::now(), request).await,
                    None => return,
                },
                () = async { sleep_until(wake.unwrap_or_else(Instant::now).into()).await }, if wake.is_some() => {
                    self.tell(Instant::now(), FloorInput::Timeout);
                }
            }
        }
    }

    async fn handle(&mut self, now: Instant, request: Request) {
        match request {
            Request::Tell(input) => {
                if let FloorInput::Leaves { who, .. } = &input {
                    self.inboxes.remove(who);
                }
                self.tell(now, input);
            }
            Request::Wants(want, inbox) => {
                self.inboxes.insert(want.who.clone(), inbox);
                self.tell(now, FloorInput::Wants(want));
            }
            Request::Note(ticket) => self.note(&ticket).await,
            Request::Promise(ticket, since) => {
                self.note(&ticket).await;
                match pause_before(ticket.tries) {
                    Some(pause) => self.put_off(ticket, since, pause),
                    None => self.put_in_line(now, *ticket, since),
                }
            }
            Request::Again(ticket, since) => self.put_in_line(now, *ticket, since),
            Request::Kept(id) => {
                if !self.tickets.contains_key(&id)
                    && let Err(e) = self.store.remove_ticket(&id).await
                {
                    warn!(call_id = id, error = %e, "a kept promise stays on disk and may be kept again");
                }
            }
            Request::List { answer } => {
                let _ = answer.send(self.floor.states());
            }
            Request::Set { extension, wish, answer } => {
                self.tell(now, FloorInput::Wish { extension: extension.clone(), wish });
                let _ = answer.send(self.floor.state(&extension));
            }
        }
    }

    async fn note(&self, ticket: &Ticket) {
        let json = serde_json::to_string(ticket).unwrap_or_default();
        if let Err(e) = self.store.save_ticket(&ticket.id, &json).await {
            error!(call_id = ticket.id, error = %e, "a promised callback is kept in memory only");
        }
    }

    /// Somebody who was not reached, or whose agents did not pick up, is not called again in the same breath.
    fn put_off(&self, ticket: Box<Ticket>, since: Instant, pause: Duration) {
        let desk = self.desk.clone();
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if desk.send(Request::Again(ticket, since)).await.is_err() {
                warn!("a promised callback waits for the next start");
            }
        });
    }

    async fn take_up(&mut self, now: Instant) {
        let tickets = match self.store.tickets().await {
            Ok(tickets) => tickets,
            Err(e) => {
                error!(error = %e, "promised callbacks could not be read");
                return;
            }
        };
        for (id, json) in tickets {
            match serde_json::from_str::<Ticket>(&json) {
                Ok(ticket) => {
                    let waited = Timestamp::now().duration_since(ticket.waiting_since);
                    let since = now.checked_sub(waited.try_into().unwrap_or_default()).unwrap_or(now);
                    info!(call_id = id, number = ticket.number, "a promised callback is taken up again");
                    self.put_in_line(now, ticket, since);
                }
                Err(e) => error!(call_id = id, error = %e, "a promised callback cannot be read"),
            }
        }
    }

    fn put_in_line(&mut self, now: Instant, ticket: Ticket, since: Instant) {
        let want = Want {
            who: Waiter::Callback(ticket.id.clone()),
            queue: ticket.queue.clone(),
            not: Vec::new(),
            since,
            priority: ticket.priority,
            needs: ticket.needs.clone(),
        };
        self.tickets.insert(ticket.id.clone(), (ticket, since));
        self.tell(now, FloorInput::Wants(want));
    }

    /// Tells the floor something and carries its answers to the calls. What nobody is there to take is given back, which may
    /// bring new answers.
    fn tell(&mut self, now: Instant, input: FloorInput) {
        self.floor.handle(now, input);
        while let Some(event) = self.floor.poll_event() {
            match event {
                Event::Offer { who, agents } => {
                    let agents: Vec<Offered> = agents
                        .into_iter()
                        .map(|a| Offered { extension: a.extension, must_accept: a.must_accept })
                        .collect();
                    if let Some(refused) = self.offer(&who, agents) {
                        for agent in refused {
                            let how = Released::NotNeeded;
                            self.floor.handle(now, FloorInput::Released { extension: agent.extension, how });
                        }
                        self.floor.handle(now, FloorInput::Leaves { who, why: Left::Abandoned });
                    }
                }
                Event::Place { who, position, wait } => {
                    if let Some(inbox) = self.inboxes.get(&who) {
                        inbox.send(CallEvent::Answer(Input::Queued { position, wait }));
                    }
                }
                Event::Nobody { who, why } => {
                    info!(?who, ?why, "nobody will come");
                    if let Some(inbox) = self.inboxes.remove(&who) {
                        inbox.send(CallEvent::Answer(Input::NoAgent));
                    }
                }
                Event::Agent { extension, state } => info!(extension, ?state, "agent"),
            }
        }
    }

    /// Brings an offer to who waits for it, or hands it back.
    fn offer(&mut self, who: &Waiter, agents: Vec<Offered>) -> Option<Vec<Offered>> {
        let back = |event| match event {
            CallEvent::Answer(Input::AgentsOffered { agents }) => Some(agents),
            _ => None,
        };
        if let Some(inbox) = self.inboxes.remove(who) {
            return inbox.offer(CallEvent::Answer(Input::AgentsOffered { agents })).and_then(back);
        }
        let Waiter::Callback(id) = who else { return Some(agents) };
        let Some((ticket, since)) = self.tickets.remove(id) else { return Some(agents) };
        match self.begin.try_send(CallBack { ticket, since, agents }) {
            Ok(()) => None,
            Err(mpsc::error::TrySendError::Full(c) | mpsc::error::TrySendError::Closed(c)) => {
                self.tickets.insert(id.clone(), (c.ticket, c.since));
                Some(c.agents)
            }
        }
    }
}
