//! Caller and agent together, and who else takes part: a third party whom the agent consults or passes the caller on to, a
//! supervisor. This machine knows who hears whom and what the agent's keys mean; legs, timers and the record are the call's.
//!
//! What must always hold: a caller on hold hears nobody and is heard by nobody; a supervisor who whispers is never heard by
//! the caller; who put us on hold is neither sent nor asked anything.

use std::collections::BTreeSet;

use crate::api::{Route, Supervision};
use crate::leg::Leg;
use crate::rules::{Does, Rules};

/// Where the third party stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Consult {
    /// There is none.
    None,
    /// It rings; the agent hears that, the caller music.
    Calling,
    /// Agent and third party speak, the caller hears music.
    Private,
    /// All three speak.
    ThreeWay,
    /// It rings, for the caller. `refer`: the agent asked for that by REFER, and is told how it goes.
    Passing { refer: bool },
}

/// The talk.
#[derive(Debug)]
pub(crate) struct Talk {
    /// Who speaks with the caller: the agent, or the third party once the agent has gone.
    pub with: Leg,
    pub consult: Consult,
    pub supervisor: Option<Supervision>,
    pub keys: Keys,
    /// Who hears whom, as it was ordered last.
    pub routes: BTreeSet<Route>,
}

impl Talk {
    pub fn new() -> Self {
        Self {
            with: Leg::Agent,
            consult: Consult::None,
            supervisor: None,
            keys: Keys::default(),
            routes: BTreeSet::new(),
        }
    }

    /// Who speaks with whom, were nobody on hold.
    fn parties(&self) -> Vec<Leg> {
        match self.consult {
            Consult::None => vec![Leg::Caller, self.with],
            Consult::Private => vec![Leg::Agent, Leg::Third],
            Consult::ThreeWay => vec![Leg::Caller, Leg::Agent, Leg::Third],
            Consult::Calling | Consult::Passing { .. } => Vec::new(),
        }
    }

    /// Who hears whom, with these sides holding.
    pub fn wanted(&self, held: &BTreeSet<Leg>) -> BTreeSet<Route> {
        let parties: Vec<Leg> = self.parties().into_iter().filter(|l| !held.contains(l)).collect();
        let mut routes = BTreeSet::new();
        if parties.len() < 2 {
            return routes; // who is left alone has music, and nobody to be overheard with
        }
        let mut way = |from: Leg, to: Leg| {
            if from != to {
                routes.insert(Route { from, to });
            }
        };
        for from in &parties {
            for to in &parties {
                way(*from, *to);
            }
        }
        let Some(mode) = self.supervisor.filter(|_| !held.contains(&Leg::Supervisor)) else { return routes };
        for party in &parties {
            way(*party, Leg::Supervisor);
            let heard = match mode {
                Supervision::Listen => false,
                Supervision::Whisper => *party == Leg::Agent,
                Supervision::Barge => true,
            };
            if heard {
                way(Leg::Supervisor, *party);
            }
        }
        routes
    }

    /// Whether the caller is left alone, and is to have music.
    pub fn caller_waits(&self, held: &BTreeSet<Leg>) -> bool {
        !self.wanted(held).iter().any(|r| r.to == Leg::Caller)
    }
}

/// Keys as they come. They also reach the other side as tones; what is no code is nobody's business.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    typed: String,
    /// A code that waits for its number.
    number_for: Option<Does>,
}

/// What a key has led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// Nothing that means anything.
    Nothing,
    /// The beginning of something.
    More,
    /// This.
    Done(Does),
}

impl Keys {
    pub fn press(&mut self, rules: &Rules, digit: char) -> Keyed {
        if let Some(does) = &self.number_for {
            if digit != '#' {
                self.typed.push(digit);
                return if self.typed.len() > 20 || digit == '*' { self.forget() } else { Keyed::More };
            }
            let done = with_number(does, &self.typed);
            self.forget();
            return done.map_or(Keyed::Nothing, Keyed::Done);
        }
        self.typed.push(digit);
        if let Some(feature) = rules.features.iter().find(|f| f.code == self.typed) {
            self.typed.clear();
            if matches!(feature.does, Does::Blind { to: None } | Does::Attended { to: None }) {
                self.number_for = Some(feature.does.clone());
                return Keyed::More;
            }
            return Keyed::Done(feature.does.clone());
        }
        if rules.features.iter().any(|f| f.code.starts_with(&self.typed)) { Keyed::More } else { self.forget() }
    }

    /// No more keys have come for a while: a number that was begun is complete.
    pub fn pause(&mut self) -> Keyed {
        let done = self.number_for.as_ref().and_then(|does| with_number(does, &self.typed));
        self.forget();
        done.map_or(Keyed::Nothing, Keyed::Done)
    }

    fn forget(&mut self) -> Keyed {
        *self = Self::default();
        Keyed::Nothing
    }
}

fn with_number(does: &Does, number: &str) -> Option<Does> {
    let to = Some(number.to_owned()).filter(|n| !n.is_empty());
    match does {
        Does::Blind { .. } => to.map(|to| Does::Blind { to: Some(to) }),
        Does::Attended { .. } => to.map(|to| Does::Attended { to: Some(to) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hears(talk: &Talk, held: &[Leg]) -> String {
        let short = |l: Leg| &l.as_str()[..1];
        let routes = talk.wanted(&held.iter().copied().collect());
        routes.iter().map(|r| format!("{}{}", short(r.from), short(r.to))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn who_hears_whom() {
        let mut talk = Talk::new();
        assert_eq!(hears(&talk, &[]), "ca ac");
        assert_eq!(hears(&talk, &[Leg::Agent]), "");
        talk.supervisor = Some(Supervision::Listen);
        assert_eq!(hears(&talk, &[]), "ca cs ac as");
        talk.supervisor = Some(Supervision::Whisper);
        assert_eq!(hears(&talk, &[]), "ca cs ac as sa");
        talk.supervisor = Some(Supervision::Barge);
        assert_eq!(hears(&talk, &[]), "ca cs ac as sc sa");
        assert_eq!(hears(&talk, &[Leg::Supervisor]), "ca ac");
        talk.supervisor = Some(Supervision::Whisper);
        talk.consult = Consult::Private;
        assert_eq!(hears(&talk, &[]), "at as ta ts sa");
        assert!(talk.caller_waits(&BTreeSet::new()));
        talk.consult = Consult::ThreeWay;
        assert_eq!(hears(&talk, &[]), "ca ct cs ac at as tc ta ts sa");
        assert_eq!(hears(&talk, &[Leg::Agent]), "ct cs tc ts");
        for consult in [Consult::Calling, Consult::Passing { refer: true }] {
            talk.consult = consult;
            assert_eq!(hears(&talk, &[]), "");
        }
    }

    #[test]
    fn a_whisper_never_reaches_the_caller() {
        for consult in [Consult::None, Consult::Private, Consult::ThreeWay, Consult::Calling] {
            for with in [Leg::Agent, Leg::Third] {
                for mode in [Supervision::Listen, Supervision::Whisper] {
                    let talk = Talk { with, consult: consult.clone(), supervisor: Some(mode), ..Talk::new() };
                    let routes = talk.wanted(&BTreeSet::new());
                    assert!(!routes.contains(&Route { from: Leg::Supervisor, to: Leg::Caller }));
                }
            }
        }
    }

    #[test]
    fn keys_are_codes_numbers_or_nothing() {
        let mut rules = Rules::default();
        rules.features.push(crate::Feature { code: "*71".into(), does: Does::Queue { queue: "billing".into() } });
        let mut keys = Keys::default();
        let mut press = |typed: &str| typed.chars().map(|d| keys.press(&rules, d)).last().unwrap();
        assert_eq!(press("12"), Keyed::Nothing);
        assert_eq!(press("*1"), Keyed::Done(Does::Assistant));
        assert_eq!(press("*7"), Keyed::More);
        assert_eq!(press("1"), Keyed::Done(Does::Queue { queue: "billing".into() }));
        assert_eq!(press("*78"), Keyed::Nothing);
        assert_eq!(press("*2030123"), Keyed::More);
        assert_eq!(press("#"), Keyed::Done(Does::Blind { to: Some("030123".into()) }));
        assert_eq!(press("*2#"), Keyed::Nothing, "no number");
        assert_eq!(press("*203*"), Keyed::Nothing, "begun anew");
        assert_eq!(press("*3"), Keyed::More);
        press("1002");
        assert_eq!(keys.pause(), Keyed::Done(Does::Attended { to: Some("1002".into()) }));
        assert_eq!(keys.pause(), Keyed::Nothing);
    }
}
