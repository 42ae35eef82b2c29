//! One caller and one agent on a gateway, call by call: the caller presses 0 for a person, the agent's phone is answered and
//! takes the call by its key. For tests and benches that are not about what is heard.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use baton_phone::{Call, CallEvent, InviteOptions, Phone, PhoneConfig};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Gateway, PASSWORD};

/// Everything here comes within this, or it is a fault.
const LIMIT: Duration = Duration::from_secs(60);

/// An agent's phone, and the runtime that it and the callers' phones live on.
pub struct People {
    /// For what else is to be awaited.
    pub runtime: Runtime,
    agent: Phone,
}

/// A caller who was answered.
pub struct Caller {
    /// Their call.
    pub call: Call,
    _phone: Phone,
}

/// Caller and agent, the briefing being said.
pub struct Talk {
    caller: Caller,
    agent: Call,
    /// The INVITE that the agent's phone got.
    pub invite: String,
    /// The call's id, as the agent's phone was told.
    pub call_id: String,
}

/// A config whose `[crm]` is `crm` (empty: as it is), whose callers get the one agent by pressing 0, and whose patience with
/// the system of record is short.
pub fn config(text: &str, crm: &str) -> String {
    let (before, rest) = text.split_once("[crm]\n").unwrap_or((text, ""));
    let (theirs, after) = rest.split_once("[http]").unwrap_or((rest, ""));
    format!("{before}[crm]\n{}\n[http]{after}", if crm.is_empty() { theirs } else { crm })
        .replace("requires = [\"name\", \"reason\", \"order_number\"]\n", "requires = []\n")
        .replace("crm_wait_ms = 3000", "crm_wait_ms = 1500")
        .replace("wrap_up_s = 5", "wrap_up_s = 0")
        .replace("agents = [\"1001\", \"1002\"]", "agents = [\"1001\"]")
}

/// Asks until it is so.
pub fn until(what: &str, mut test: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !test()? {
        if Instant::now() > deadline {
            bail!("not in time: {what}");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(())
}

impl People {
    /// Registers the agent 1001.
    pub fn at(gateway: &Gateway) -> Result<Self> {
        let runtime = Runtime::new()?;
        let agent = runtime.block_on(async {
            let mut config = PhoneConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), "1001");
            config.password = Some(PASSWORD.into());
            let mut phone = Phone::open(config).await?;
            phone.register(gateway.sip, Duration::from_secs(3_600)).await?;
            anyhow::Ok(phone)
        })?;
        Ok(Self { runtime, agent })
    }

    /// Calls from `number` and waits until the assistant speaks: from then on keys count.
    pub fn call(&self, gateway: &Gateway, number: &str) -> Result<Caller> {
        let caller = self.runtime.block_on(async {
            let phone = Phone::open(PhoneConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)), number)).await?;
            let uri = format!("sip:5000@{}", gateway.sip);
            let mut call =
                phone.invite(InviteOptions { uri, from: None, display: None, headers: Vec::new(), noise: None })?;
            event(&mut call, |event| matches!(event, CallEvent::Answered { .. })).await?;
            anyhow::Ok(Caller { call, _phone: phone })
        })?;
        let greeted = |record: &Value| {
            let turns = record["turns"].as_array().is_some_and(|turns| !turns.is_empty());
            record["from"] == number && record["ended_at"].is_null() && turns
        };
        until("the greeting", || Ok(gateway.records()?.iter().any(greeted)))?;
        Ok(caller)
    }

    /// Presses digits.
    pub fn press(&self, caller: &Caller, digits: &str) {
        self.runtime.block_on(async { caller.call.media().press(digits) });
    }

    /// The agent's phone rings for that caller and is answered: the briefing is being said.
    pub fn to_agent(&mut self, caller: Caller) -> Result<Talk> {
        let (agent, invite) = self.runtime.block_on(async {
            let incoming =
                tokio::time::timeout(LIMIT, self.agent.incoming()).await.context("the agent's phone rings")?;
            let incoming = incoming.context("the agent's phone is open")?;
            incoming.ring();
            let invite = incoming.invite.clone();
            let mut call = incoming.answer();
            event(&mut call, |event| matches!(event, CallEvent::Confirmed { .. })).await?;
            anyhow::Ok((call, invite))
        })?;
        let call_id = header(&invite, "X-Baton-Call-ID").context("the call's id in the INVITE")?.to_owned();
        Ok(Talk { caller, agent, invite, call_id })
    }

    /// The agent takes the call, then the caller hangs up. The finished record.
    pub fn finish(&self, gateway: &Gateway, talk: Talk) -> Result<Value> {
        let Talk { caller, mut agent, call_id, .. } = talk;
        let record = || -> Result<Value> {
            Ok(serde_json::from_str(&gateway.get(&format!("/api/v1/calls/{call_id}"))?.1).unwrap_or_default())
        };
        self.runtime.block_on(async { agent.media().press("1") });
        until("the two are joined", || Ok(record()?["bridged_at"].is_string()))?;
        self.runtime.block_on(async {
            caller.call.hang_up();
            event(&mut agent, |event| matches!(event, CallEvent::Ended { .. })).await
        })?;
        until("the call is over", || Ok(record()?["ended_at"].is_string()))?;
        record()
    }
}

/// Waits for an event of a call.
async fn event(call: &mut Call, mut wanted: impl FnMut(&CallEvent) -> bool) -> Result<()> {
    let all = async {
        loop {
            let event = call.event().await.context("the call is gone")?;
            if wanted(&event) {
                return Ok(());
            }
            if matches!(event, CallEvent::Failed { .. }) {
                bail!("{event:?}");
            }
        }
    };
    tokio::time::timeout(LIMIT, all).await.context("a call's event did not come in time")?
}

/// A header field's value in a message.
pub fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
