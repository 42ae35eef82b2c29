//! The way to a person: case, agent, briefing, decision. This machine knows where the transfer stands with the CRM and with
//! the agent, and says what comes next; legs, timers and the record are the call's.
//!
//! What must always hold: nobody is rung, and so nobody joined, before the case is acknowledged or the policy has decided to
//! proceed; a transfer ends in [`Step::Join`], in [`Step::GiveBack`], or with the caller's leaving.

use std::time::{Duration, Instant};

use baton_intake::{IfLate, TransferRules, TriggerName};

use crate::api::LineId;
use crate::record::{Control, NotTaken, WhyGivenBack};

/// Where the transfer stands with the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Asked to write it; no answer yet.
    Asked,
    /// The CRM has it.
    Acknowledged,
    /// The policy decided to go on without.
    Proceeded,
}

/// Where it stands with the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Looking for an agent.
    Searching,
    /// An agent is promised; the case is not settled.
    AwaitingCase,
    /// The agent's phone was called.
    Ringing,
    /// Picked up: hears the briefing.
    Briefing {
        /// What is being said to the agent.
        line: LineId,
    },
    /// Picked up, has heard what there was to hear, and is to decide.
    Deciding {
        /// The last thing said: which keys there are.
        line: LineId,
    },
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing yet.
    Wait,
    /// Ring the promised agent.
    Ring,
    /// The briefing's words have changed while the phone rings.
    PrepareAgain,
    /// Say the briefing, or say it again.
    Brief,
    /// Tell the agent the keys, and give time to press one.
    Help,
    /// Join the two.
    Join,
    /// This agent does not take it: ask the next.
    Next(NotTaken),
    /// It has failed.
    GiveBack(WhyGivenBack),
}

/// One escalation of one call.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub trigger: TriggerName,
    pub queue: String,
    pub rules: TransferRules,
    /// Who has been asked in vain.
    pub asked: Vec<String>,
    /// How often the waiting caller was told that it goes on.
    pub news: usize,
    /// Waiting since: the place in line.
    pub since: Instant,
    /// The caller's place in line, and how long it may take, as the caller was not told it yet or was told it last.
    pub place: Option<(usize, Duration)>,
    /// The place has changed since the caller was told.
    pub moved: bool,
    case: Case,
    stage: Stage,
}

impl Transfer {
    /// A case was handed to the CRM and an agent is looked for.
    pub fn new(now: Instant, trigger: TriggerName, queue: String, rules: TransferRules) -> Self {
        Self {
            trigger,
            queue,
            rules,
            asked: Vec::new(),
            news: 0,
            since: now,
            place: None,
            moved: false,
            case: Case::Asked,
            stage: Stage::Searching,
        }
    }

    /// The case was handled before, by the CRM or by the policy: an agent passes the caller on, a callback is made.
    pub fn again(now: Instant, trigger: TriggerName, queue: String, rules: TransferRules, acknowledged: bool) -> Self {
        let case = if acknowledged { Case::Acknowledged } else { Case::Proceeded };
        Self { case, ..Self::new(now, trigger, queue, rules) }
    }

    /// No agent is promised yet.
    pub fn is_searching(&self) -> bool {
        self.stage == Stage::Searching
    }

    /// The agent's leg is up.
    pub fn is_with_agent(&self) -> bool {
        self.line().is_some()
    }

    /// The caller's place in line. Whether it is the first that is known.
    pub fn queued(&mut self, position: usize, wait: Duration) -> bool {
        let first = self.place.is_none();
        self.moved |= self.place.map(|(p, _)| p) != Some(position);
        self.place = Some((position, wait));
        first
    }

    /// Whether the briefing has to say that the CRM does not have the case.
    pub fn record_is_late(&self) -> bool {
        self.case != Case::Acknowledged
    }

    pub fn proceeded(&self) -> bool {
        self.case == Case::Proceeded
    }

    /// The CRM has the case.
    pub fn acknowledged(&mut self) -> Step {
        let late = std::mem::replace(&mut self.case, Case::Acknowledged) == Case::Proceeded;
        match self.stage {
            Stage::Ringing if late => Step::PrepareAgain,
            _ => self.ring_if_ready(),
        }
    }

    /// The CRM is late, or has failed for good: the policy decides.
    pub fn late(&mut self) -> Step {
        match (self.case, self.rules.if_late) {
            (Case::Asked, IfLate::Proceed) => {
                self.case = Case::Proceeded;
                self.ring_if_ready()
            }
            (Case::Asked, IfLate::Wait) => Step::GiveBack(WhyGivenBack::RecordNotAcknowledged),
            (Case::Acknowledged | Case::Proceeded, _) => Step::Wait,
        }
    }

    /// An agent is promised. `None`: none was looked for.
    pub fn offered(&mut self) -> Option<Step> {
        if self.stage != Stage::Searching {
            return None;
        }
        self.stage = Stage::AwaitingCase;
        Some(self.ring_if_ready())
    }

    /// Nobody is ready, or nobody who has not been asked.
    pub fn nobody(&self) -> Step {
        match self.stage {
            Stage::Searching => Step::GiveBack(WhyGivenBack::NobodyFree),
            _ => Step::Wait,
        }
    }

    /// The agent picked up.
    pub fn answered(&self) -> Step {
        match self.stage {
            Stage::Ringing => Step::Brief,
            _ => Step::Wait,
        }
    }

    /// The briefing is being said as `line`.
    pub fn briefing_is(&mut self, line: LineId) {
        self.stage = Stage::Briefing { line };
    }

    /// The agent is being told the keys, as `line`.
    pub fn help_is(&mut self, line: LineId) {
        self.stage = Stage::Deciding { line };
    }

    /// What is being said to the agent.
    pub fn line(&self) -> Option<LineId> {
        match self.stage {
            Stage::Briefing { line } | Stage::Deciding { line } => Some(line),
            Stage::Searching | Stage::AwaitingCase | Stage::Ringing => None,
        }
    }

    /// The briefing is over. Its end accepts, if the flow says so and the agent has heard it. `mute`: we are known to be
    /// unable to speak; then silence must not keep caller and agent apart. `must_accept`: only a key will do.
    pub fn briefing_ended(&self, completed: bool, mute: bool, must_accept: bool) -> Step {
        let accepts = self.rules.accept_on_briefing_end && !must_accept;
        match self.stage {
            Stage::Briefing { .. } if accepts && (completed || mute) => Step::Join,
            Stage::Briefing { .. } => Step::Help,
            _ => Step::Wait,
        }
    }

    /// The agent pressed a key. What it means, and what follows.
    pub fn pressed(&self, digit: char) -> Option<(Control, Step)> {
        if !matches!(self.stage, Stage::Briefing { .. } | Stage::Deciding { .. }) {
            return None;
        }
        match digit {
            '1' => Some((Control::Accept, Step::Join)),
            '2' => Some((Control::Decline, Step::Next(NotTaken::Declined))),
            '3' => Some((Control::Repeat, Step::Brief)),
            '*' => Some((Control::Skip, Step::Join)),
            _ => None,
        }
    }

    /// The agent's leg was lost, or its phone did not take the call.
    pub fn agent_lost(&self, why: NotTaken) -> Step {
        match self.stage {
            Stage::Ringing | Stage::Briefing { .. } | Stage::Deciding { .. } => Step::Next(why),
            Stage::Searching | Stage::AwaitingCase => Step::Wait,
        }
    }

    /// These do not take it: the next is looked for.
    pub fn passed_over(&mut self, extensions: Vec<String>) {
        self.asked.extend(extensions);
        self.stage = Stage::Searching;
        self.place = None;
    }

    fn ring_if_ready(&mut self) -> Step {
        if self.stage == Stage::AwaitingCase && self.case != Case::Asked {
            self.stage = Stage::Ringing;
            return Step::Ring;
        }
        Step::Wait
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn transfer(if_late: IfLate) -> Transfer {
        let s = Duration::from_secs(20);
        let rules =
            TransferRules { ring_timeout: s, crm_wait: s, if_late, accept_on_briefing_end: true, news_every: s };
        Transfer::new(Instant::now(), TriggerName::AskedForPerson, "support".into(), rules)
    }

    #[test]
    fn the_phone_rings_when_agent_and_case_are_there_whichever_comes_first() {
        let mut t = transfer(IfLate::Wait);
        assert_eq!(t.offered(), Some(Step::Wait));
        assert_eq!(t.acknowledged(), Step::Ring);
        assert_eq!(t.acknowledged(), Step::Wait, "once");
        let mut t = transfer(IfLate::Wait);
        assert_eq!(t.acknowledged(), Step::Wait);
        assert_eq!(t.offered(), Some(Step::Ring));
        assert_eq!(t.offered(), None, "one at a time");
    }

    #[test]
    fn a_late_case_is_for_the_policy() {
        let mut t = transfer(IfLate::Wait);
        t.offered();
        assert_eq!(t.late(), Step::GiveBack(WhyGivenBack::RecordNotAcknowledged));
        let mut t = transfer(IfLate::Proceed);
        t.offered();
        assert_eq!((t.late(), t.record_is_late()), (Step::Ring, true));
        assert_eq!((t.acknowledged(), t.record_is_late()), (Step::PrepareAgain, false));
        let mut t = transfer(IfLate::Wait);
        t.acknowledged();
        assert_eq!(t.late(), Step::Wait, "it is not late");
    }

    #[test]
    fn keys_count_from_the_answer_on() {
        let mut t = transfer(IfLate::Wait);
        t.acknowledged();
        t.offered();
        assert_eq!((t.pressed('1'), t.answered()), (None, Step::Brief));
        t.briefing_is(LineId(1));
        for (key, step) in [('1', Step::Join), ('*', Step::Join), ('3', Step::Brief)] {
            assert_eq!(t.pressed(key).map(|p| p.1), Some(step));
        }
        assert_eq!(t.pressed('7'), None);
        assert_eq!(t.briefing_ended(false, false, false), Step::Help, "what was not heard accepts nothing");
        assert_eq!(t.briefing_ended(false, true, false), Step::Join);
        assert_eq!(t.briefing_ended(true, false, false), Step::Join);
        assert_eq!(t.briefing_ended(true, true, true), Step::Help, "it may be a mailbox");
        t.help_is(LineId(2));
        assert_eq!(t.pressed('2').map(|p| p.1), Some(Step::Next(NotTaken::Declined)));
    }
}
