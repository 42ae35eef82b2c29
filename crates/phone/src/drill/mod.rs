//! Drills: scripted callers and agents on real SIP and RTP against one gateway, and what each of them heard.
//!
//! The gateway is a black box behind a socket address. The people of a drill know only what people know: a caller hears
//! the line, an agent sees its phone ring. One thing passes between them outside the line, as between actors: when an
//! agent's phone rings for a caller and when it accepts, so that the caller keeps silent on hold and speaks when joined.

mod agent;
mod board;
mod caller;
mod report;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::script::{AgentScript, CallerScript, ScriptError};
use crate::ua::{PhoneError, RegisterError};

pub use report::{AgentCall, AgentReport, CallerFigures, CallerReport, DrillReport, Event, Hand, Reply};

/// A drill to run.
#[derive(Clone, Debug)]
pub struct DrillSpec {
    /// Where the gateway listens for SIP over UDP.
    pub gateway: SocketAddr,
    /// Callers; all call at once.
    pub callers: Vec<CallerScript>,
    /// Agents; they register before the first call.
    pub agents: Vec<AgentScript>,
    /// Every call that lasts longer is hung up; three minutes by [`DrillSpec::new`].
    pub limit: Duration,
}

impl DrillSpec {
    /// A drill with the usual limit.
    pub fn new(gateway: SocketAddr, callers: Vec<CallerScript>, agents: Vec<AgentScript>) -> Self {
        Self { gateway, callers, agents, limit: Duration::from_secs(180) }
    }
}

/// Why a drill could not be run. A call that goes wrong is a report, not an error.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// A caller's or an agent's socket.
    #[error(transparent)]
    Phone(#[from] PhoneError),
    /// An agent could not register.
    #[error("extension {extension}: {source}")]
    Register {
        /// Which.
        extension: String,
        /// Why.
        source: RegisterError,
    },
    /// A script's noise file.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// A task of the drill broke down.
    #[error("the drill itself failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Registers the agents, lets every caller call, waits until all calls are over, takes the registrations back.
pub async fn run(spec: DrillSpec) -> Result<DrillReport, DrillError> {
    let numbers = spec.callers.iter().map(|c| c.from.clone()).collect();
    let board = board::Board::new(numbers);

    let mut agents = JoinSet::new();
    for (index, script) in spec.agents.into_iter().enumerate() {
        let phone = agent::register(&script, spec.gateway).await?;
        let (board, gateway) = (board.clone(), spec.gateway);
        agents.spawn(async move { (index, agent::attend(phone, script, gateway, board).await) });
    }

    let mut callers = JoinSet::new();
    for (index, script) in spec.callers.into_iter().enumerate() {
        let (board, gateway, limit) = (board.clone(), spec.gateway, spec.limit);
        callers.spawn(async move { (index, caller::call(index, script, gateway, limit, board).await) });
    }

    let mut called = Vec::new();
    while let Some(done) = callers.join_next().await {
        let (index, report) = done?;
        called.push((index, report?));
    }
    board.close();
    let mut attended = Vec::new();
    while let Some(done) = agents.join_next().await {
        attended.push(done?);
    }
    called.sort_by_key(|(index, _)| *index);
    attended.sort_by_key(|(index, _)| *index);
    let callers = called.into_iter().map(|(_, r)| r).collect();
    let agents = attended.into_iter().map(|(_, r)| r).collect();
    Ok(DrillReport::assemble(callers, agents))
}
