//! Waiting for a person: the place in line, what is told about it, and the two ways out of it by key, a promised callback
//! and the assistant.

use std::time::{Duration, Instant};

use baton_intake::{BriefingNotes, Line as FlowLine, TriggerName};
use jiff::Timestamp;

use crate::api::{Action, HangUpCause, LeftQueue};
use crate::lines::After;
use crate::record::WhyGivenBack;
use crate::rules::{Wanted, wait_in_words};
use crate::ticket::Ticket;
use crate::timer::{self, Timer};

use super::{Call, Phase};

/// What an escalation asked for, kept for a callback.
#[derive(Debug, Clone)]
pub(super) struct Waited {
    pub trigger: TriggerName,
    pub disposition: String,
    pub queue: String,
    pub since: Instant,
}

impl Call {
    pub(super) fn find_agent(&mut self, now: Instant) {
        let Some(transfer) = self.transfer() else { return };
        let (queue, not, since) = (transfer.queue.clone(), transfer.asked.clone(), transfer.since);
        let trigger = transfer.trigger;
        let Wanted { priority, skills } = self.wanted(trigger);
        self.in_queue = true;
        self.timers.set(Timer::AgentSearch, now + timer::AGENT_SEARCH);
        self.act(Action::FindAgent { queue, not, since, priority, needs: skills });
    }

    fn wanted(&self, trigger: TriggerName) -> Wanted {
        match &self.ticket {
            Some(ticket) => Wanted { priority: ticket.priority, skills: ticket.needs.clone() },
            None => self.rules.wants.get(&trigger).cloned().unwrap_or_default(),
        }
    }

    /// No agent is wanted any more.
    pub(super) fn leave_queue(&mut self, why: LeftQueue) {
        if std::mem::take(&mut self.in_queue) {
            self.act(Action::LeaveQueue { why });
        }
    }

    /// The caller's place in line. The first one is told at once, the others with the news.
    pub(super) fn queued(&mut self, now: Instant, position: usize, wait: Duration) {
        let Some(transfer) = self.transfer().filter(|t| t.is_searching()) else { return };
        let (first, told) = (transfer.queued(position, wait), transfer.news > 0);
        self.timers.stop(Timer::AgentSearch);
        self.timers.set(Timer::QueueCeiling, now + timer::QUEUE_CEILING);
        if first && !told {
            let line = self.place_line();
            self.tell_waiting(now, line);
        }
    }

    fn place_line(&mut self) -> Option<String> {
        let offer = self.offers_callback();
        let lines = self.rules.lines.clone();
        let transfer = self.transfer()?;
        let (position, wait) = transfer.place?;
        transfer.moved = false;
        let line = if position == 1 { lines.next } else { lines.place };
        let line = line.replace("{position}", &position.to_string()).replace("{wait}", &wait_in_words(wait));
        Some(if offer { format!("{line} {}", lines.offer) } else { line })
    }

    /// A spoken word for who waits: the place, if it has changed or was long not told, else that it goes on.
    pub(super) fn hold_news(&mut self, now: Instant) {
        let Some(transfer) = self.transfer() else { return };
        let (nth, every) = (transfer.news, transfer.rules.news_every.max(Duration::from_secs(1)));
        let in_line = transfer.is_searching() && transfer.place.is_some();
        let place = in_line && (transfer.moved || nth % 3 == 2);
        self.timers.set(Timer::HoldNews, now + every);
        if !self.lines.is_silent() {
            return;
        }
        let line = if place { self.place_line() } else { None };
        let line = line.unwrap_or_else(|| self.flow.line(FlowLine::HoldNews, nth));
        self.tell_waiting(now, Some(line));
    }

    fn tell_waiting(&mut self, now: Instant, line: Option<String>) {
        if let Some(transfer) = self.transfer() {
            transfer.news += 1;
        }
        self.say(now, line.into_iter().collect(), false, None);
    }

    fn offers_callback(&self) -> bool {
        self.rules.callback_key.is_some() && self.intake.callback_number().is_some() && self.ticket.is_none()
    }

    /// A key of a caller who waits in line. Once an agent is promised it is too late for either way out: the agent is near.
    pub(super) fn waiting_caller_pressed(&mut self, now: Instant, digit: char) {
        if !self.transfer().is_some_and(|t| t.is_searching() && t.place.is_some()) {
            return;
        }
        if self.rules.callback_key == Some(digit) && self.offers_callback() {
            self.promise_callback(now);
        } else if self.rules.leave_key == Some(digit) {
            self.give_back(now, WhyGivenBack::CallerChose);
        }
    }

    /// The caller goes, and the place in line stays.
    fn promise_callback(&mut self, now: Instant) {
        let Some(number) = self.intake.callback_number() else { return };
        self.stop_transfer_timers();
        if !self.lines.is_silent() {
            self.stop_lines();
        }
        self.hold_music(false);
        self.leave_queue(LeftQueue::Callback);
        self.keep_place(now, &number);
        let disposition = self.flow.callback().to_owned();
        self.keeper.settle(&disposition);
        self.phase = Phase::Leaving;
        self.lines.after = After::HangUp;
        let promised = self.rules.lines.promised.replace("{phone}", &spoken_number(&number));
        self.say(now, vec![promised], false, None);
        self.all_said(now);
    }

    /// A promised callback becomes a ticket in the line.
    pub(super) fn keep_place(&mut self, now: Instant, number: &str) {
        let Some(waited) = self.waited.clone() else { return };
        let record = self.keeper.record();
        let wall = self.keeper.wall(now);
        let ago = now.saturating_duration_since(waited.since);
        let crm = record.crm.clone();
        let acknowledged = crm.as_ref().is_some_and(|c| c.acknowledged_at.is_some());
        let case = crm.as_ref().and_then(|c| Some((c.system.clone()?, c.record_id.clone()?)));
        let Wanted { priority, skills } = self.wanted(waited.trigger);
        let ticket = Ticket {
            id: record.call_id.clone(),
            number: number.to_owned(),
            flow: record.flow.clone(),
            trunk: record.trunk.clone(),
            to: record.to.clone(),
            queue: waited.queue,
            priority,
            needs: skills,
            waiting_since: since(wall, ago),
            trigger: waited.trigger,
            disposition: waited.disposition,
            briefing: self.intake.briefing(waited.trigger, &BriefingNotes { record_late: !acknowledged }),
            summary: self.intake.summary(Some(waited.trigger)),
            case,
            policy: crm.and_then(|c| c.policy),
            tries: 0,
        };
        self.keeper.callback_promised(number);
        self.act(Action::KeepPlace { ticket: Box::new(ticket), since: waited.since });
    }

    /// The queue of a caller whom an agent passes on: the case is known, so the search begins at once.
    pub(super) fn pass_to_queue(&mut self, now: Instant, queue: String, by: &str) {
        let Some(waited) = self.waited.clone() else { return };
        self.end_agent(HangUpCause::PassedOn);
        self.end_sides(HangUpCause::PassedOn);
        let acknowledged = self.keeper.record().crm.as_ref().is_some_and(|c| c.acknowledged_at.is_some());
        let mut transfer =
            crate::transfer::Transfer::again(now, waited.trigger, queue.clone(), self.flow.transfer(), acknowledged);
        transfer.asked.push(by.to_owned());
        self.waited = Some(Waited { queue, since: now, ..waited });
        self.phase = Phase::Transferring(transfer);
        self.lines.after = After::Nothing;
        let passing = self.rules.lines.passing.clone();
        self.say(now, vec![passing], false, None);
        self.find_agent(now);
        self.all_said(now);
    }
}

fn since(wall: Timestamp, ago: Duration) -> Timestamp {
    wall.checked_sub(ago).unwrap_or(wall)
}

/// A number as it is read out: digit by digit, so that no voice makes millions of it.
fn spoken_number(number: &str) -> String {
    let digits: Vec<String> = number.chars().filter(char::is_ascii_digit).map(String::from).collect();
    digits.join(" ")
}
