//! A call's legs as they stand on this side: each a dialog and a port. The caller's is there from the beginning; agents may
//! be several while they ring, and the one who picked up first is the agent of the call.

use baton_call::Leg;
use baton_media::MediaLeg;
use baton_sip::LegId;

use super::terms::Terms;

/// One leg.
pub(super) struct Side {
    pub sip: LegId,
    pub media: MediaLeg,
    /// What may be agreed with its peer.
    pub terms: Terms,
    pub answered: bool,
    /// They have put us on hold.
    pub held: bool,
}

impl Side {
    pub fn new(sip: LegId, media: MediaLeg, terms: Terms) -> Self {
        Self { sip, media, terms, answered: false, held: false }
    }
}

/// Whose leg it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Who {
    Caller,
    /// An agent, by extension.
    Agent(String),
    Third,
    Supervisor,
}

impl Who {
    /// The leg as the call knows it.
    pub fn leg(&self) -> Leg {
        match self {
            Self::Caller => Leg::Caller,
            Self::Agent(_) => Leg::Agent,
            Self::Third => Leg::Third,
            Self::Supervisor => Leg::Supervisor,
        }
    }
}

/// All of one call's legs.
pub(super) struct Legs {
    pub caller: Side,
    /// By extension; several only while they ring.
    agents: Vec<(String, Side)>,
    pub third: Option<Side>,
    pub supervisor: Option<Side>,
}

impl Legs {
    pub fn new(caller: Side) -> Self {
        Self { caller, agents: Vec::new(), third: None, supervisor: None }
    }

    pub fn add_agent(&mut self, extension: String, side: Side) {
        self.agents.push((extension, side));
    }

    /// The agent who picked up.
    pub fn agent(&self) -> Option<&Side> {
        self.agents.iter().map(|(_, side)| side).find(|side| side.answered)
    }

    /// Takes an agent's leg out.
    pub fn take_agent(&mut self, extension: &str) -> Option<Side> {
        let at = self.agents.iter().position(|(e, _)| e == extension)?;
        Some(self.agents.swap_remove(at).1)
    }

    /// Takes the leg of the agent who picked up out; if nobody did, of the one who rings.
    pub fn take_the_agent(&mut self) -> Option<Side> {
        let at = self.agents.iter().position(|(_, side)| side.answered).or((!self.agents.is_empty()).then_some(0))?;
        Some(self.agents.swap_remove(at).1)
    }

    /// Takes every leg but the caller's out.
    pub fn take_others(&mut self) -> Vec<Side> {
        let agents = std::mem::take(&mut self.agents).into_iter().map(|(_, side)| side);
        agents.chain(self.third.take()).chain(self.supervisor.take()).collect()
    }

    /// The leg as the call names it.
    pub fn get(&self, leg: Leg) -> Option<&Side> {
        match leg {
            Leg::Caller => Some(&self.caller),
            Leg::Agent => self.agent(),
            Leg::Third => self.third.as_ref(),
            Leg::Supervisor => self.supervisor.as_ref(),
        }
    }

    /// Whose SIP leg that is.
    pub fn of_sip(&mut self, sip: LegId) -> Option<(Who, &mut Side)> {
        self.find(|side| side.sip == sip)
    }

    /// Whose port that is; of agents only the one who picked up is heard.
    pub fn of_media(&mut self, media: MediaLeg) -> Option<(Who, &mut Side)> {
        self.find(|side| side.media == media)
    }

    fn find(&mut self, is: impl Fn(&Side) -> bool) -> Option<(Who, &mut Side)> {
        if is(&self.caller) {
            return Some((Who::Caller, &mut self.caller));
        }
        if let Some(third) = self.third.as_mut().filter(|side| is(side)) {
            return Some((Who::Third, third));
        }
        if let Some(supervisor) = self.supervisor.as_mut().filter(|side| is(side)) {
            return Some((Who::Supervisor, supervisor));
        }
        self.agents.iter_mut().find(|(_, side)| is(side)).map(|(e, side)| (Who::Agent(e.clone()), side))
    }
}
