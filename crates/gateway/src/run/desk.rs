//! The agents' desk: one task owns the pool of agents. Calls ask it for an agent and give agents back; registrations tell
//! it who is there. It decides nothing itself, `baton-agents` does.

use std::time::Instant;

use baton_agents::{AgentState, Pool};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

/// What a call, or the registrar, tells the desk.
#[derive(Debug)]
pub enum Request {
    Registered {
        extension: String,
    },
    Unregistered {
        extension: String,
    },
    /// A call wants an agent of `queue`, none of `not`. `None` in answer: nobody is ready.
    Find {
        queue: String,
        not: Vec<String>,
        answer: oneshot::Sender<Option<String>>,
    },
    /// Who is there and what they are doing, for the API.
    List {
        answer: oneshot::Sender<Vec<(String, AgentState)>>,
    },
    /// An agent takes calls again, or takes none. In answer the state they are in now; `None`: no such agent.
    Set {
        extension: String,
        ready: bool,
        answer: oneshot::Sender<Option<AgentState>>,
    },
    Answered {
        extension: String,
    },
    Talking {
        extension: String,
    },
    /// The call is done with the agent. `talked`: they spoke with a caller, so they have wrap-up work.
    Released {
        extension: String,
        talked: bool,
    },
}

/// The desk's address.
pub type Desk = mpsc::Sender<Request>;

/// Starts the desk's task.
pub fn start(pool: Pool) -> Desk {
    let (desk, requests) = mpsc::channel(1024);
    tokio::spawn(serve(pool, requests));
    desk
}

async fn serve(mut pool: Pool, mut requests: mpsc::Receiver<Request>) {
    loop {
        let wake = pool.poll_timeout();
        tokio::select! {
            request = requests.recv() => match request {
                Some(request) => handle(&mut pool, Instant::now(), request),
                None => return,
            },
            () = async { sleep_until(wake.unwrap_or_else(Instant::now).into()).await }, if wake.is_some() => {
                pool.handle_timeout(Instant::now());
            }
        }
    }
}

fn handle(pool: &mut Pool, now: Instant, request: Request) {
    match request {
        Request::Registered { extension } => pool.registered(now, &extension),
        Request::Unregistered { extension } => pool.unregistered(&extension),
        Request::Find { queue, not, answer } => {
            let found = pool.reserve(now, &queue, &not);
            if let Err(Some(extension)) = answer.send(found) {
                pool.released(now, &extension, false); // the caller went while we looked
            }
        }
        Request::List { answer } => {
            let _ = answer.send(pool.states());
        }
        Request::Set { extension, ready, answer } => {
            if ready {
                pool.ready(now, &extension);
            } else {
                pool.pause(&extension);
            }
            let _ = answer.send(pool.state(&extension));
        }
        Request::Answered { extension } => pool.answered(&extension),
        Request::Talking { extension } => pool.talking(&extension),
        Request::Released { extension, talked } => pool.released(now, &extension, talked),
    }
}
