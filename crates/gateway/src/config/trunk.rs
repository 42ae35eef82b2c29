//! `[[trunk]]`: carriers and PBXs. How their calls are known, where ours go, how they write numbers.

use std::time::Duration;

use baton_sip::{
    Account, Bare, CallerId, Dial, ExtensionAuth, Ha1, HeaderRule, NumberRules, Rewrite, TrunkConfig, check_trunks,
};

use super::{Compiler, raw};

impl Compiler<'_> {
    pub(super) fn trunks(&mut self, raw: Vec<raw::Trunk>, realm: &str) -> Vec<TrunkConfig> {
        let trunks: Vec<TrunkConfig> =
            raw.into_iter().enumerate().map(|(i, trunk)| self.trunk(i, trunk, realm)).collect();
        if let Err(e) = check_trunks(&trunks) {
            self.fault(&["trunk"], e.to_string(), "correct the trunk's name, targets or headers");
        }
        trunks
    }

    fn trunk(&mut self, i: usize, raw: raw::Trunk, realm: &str) -> TrunkConfig {
        let at = |key: &str| ["trunk".to_owned(), i.to_string(), key.to_owned()];
        let name = raw.name.clone();
        let mut sources = Vec::new();
        for net in &raw.sources {
            match net.parse().or_else(|_| net.parse().map(|ip: std::net::IpAddr| ip.into())) {
                Ok(net) => sources.push(net),
                Err(_) => self.fault(
                    &at("sources"),
                    format!("trunk {name}: `{net}` is no network"),
                    "write it as an address, or an address and a prefix, e.g. \"203.0.113.0/24\"",
                ),
            }
        }
        let inbound = match (&raw.user, &raw.password) {
            (Some(user), Some(password)) if raw.challenge => {
                Some(ExtensionAuth { ext: user.clone(), ha1: Ha1::from_password(user, realm, password) })
            }
            _ if raw.challenge => {
                self.fault(
                    &at("challenge"),
                    format!("trunk {name}: its calls are to prove a password, but there is none"),
                    "set `user` and `password`, or remove `challenge`",
                );
                None
            }
            _ => None,
        };
        if sources.is_empty() && inbound.is_none() && raw.targets.is_empty() && raw.registrar.is_none() {
            self.fault(
                &at("name"),
                format!("trunk {name} takes no calls and places none"),
                "give `sources`, `challenge = true` with user and password, `targets` or `registrar`",
            );
        }
        let account = self.account(i, &raw);
        let headers = raw
            .set_headers
            .iter()
            .map(|(name, value)| HeaderRule::Set { name: name.clone(), value: value.clone() })
            .chain(raw.remove_headers.iter().map(|name| HeaderRule::Remove { name: name.clone() }))
            .collect();
        TrunkConfig {
            name,
            sources,
            inbound,
            targets: raw.targets,
            account,
            health: (raw.health_s > 0).then(|| Duration::from_secs(raw.health_s)),
            answer_within: Duration::from_secs(raw.answer_within_s.max(1)),
            channels: raw.channels,
            calls_per_s: raw.calls_per_s,
            numbers: numbers(&raw.numbers),
            dids: raw.dids.into_iter().collect(),
            caller_id: CallerId { number: raw.caller_id, always: raw.caller_id_always, asserted: raw.asserted },
            headers,
        }
    }

    fn account(&mut self, i: usize, raw: &raw::Trunk) -> Option<Account> {
        let at = |key: &str| ["trunk".to_owned(), i.to_string(), key.to_owned()];
        match (&raw.registrar, &raw.user, &raw.password) {
            (_, Some(user), Some(password)) if !raw.challenge || raw.registrar.is_some() => {
                let host = |uri: &String| {
                    let rest = uri.split_once(':').map_or(uri.as_str(), |(_, rest)| rest);
                    rest.split([';', '?']).next().unwrap_or(rest).to_owned()
                };
                let domain = raw.domain.clone().or_else(|| raw.registrar.as_ref().or(raw.targets.first()).map(host));
                let mut account = Account::new(user, password, &domain.unwrap_or_default());
                account.registrar = raw.registrar.clone();
                Some(account)
            }
            (Some(_), _, _) => {
                self.fault(
                    &at("registrar"),
                    format!("trunk {}: registering takes an account", raw.name),
                    "set `user` and `password = \"${env:…}\"`",
                );
                None
            }
            _ => None,
        }
    }
}

fn numbers(raw: &raw::Numbers) -> NumberRules {
    let default = NumberRules::default();
    NumberRules {
        country: raw.country.clone(),
        national_prefix: raw.national_prefix.clone().unwrap_or(default.national_prefix),
        international_prefix: raw.international_prefix.clone().unwrap_or(default.international_prefix),
        bare: match raw.bare {
            raw::BareNumber::Unknown => Bare::Unknown,
            raw::BareNumber::National => Bare::National,
            raw::BareNumber::International => Bare::International,
        },
        rewrite: raw
            .rewrite
            .iter()
            .map(|(prefix, with)| Rewrite { prefix: prefix.clone(), with: with.clone() })
            .collect(),
        dial: match raw.dial {
            raw::DialForm::Plus => Dial::Plus,
            raw::DialForm::Digits => Dial::Digits,
            raw::DialForm::National => Dial::National,
            raw::DialForm::International => Dial::International,
        },
    }
}
