//! Conditions of triggers: a small language over what was collected and what the CRM knows. Everything it names is resolved
//! and typed when a flow is compiled; a condition that compiles cannot fail in a call.
//!
//! `amount > 200 and not topic = 'cancel_order'`, `injured`, `contact.tier in ('vip', 'gold')`, `phone is missing`.
//! What is not known makes a comparison false, whatever the operator.

use std::collections::BTreeMap;

/// A compiled condition.
#[derive(Debug, Clone, PartialEq)]
pub struct When(Node);

/// What a name stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A quantity; money is in whole currency units here.
    Number,
    /// Words, or an ISO date.
    Text,
    /// Words out of a fixed list.
    OneOf(Vec<String>),
}

/// A value at the moment of the question.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A quantity.
    Number(f64),
    /// Words.
    Text(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Or(Vec<Node>),
    And(Vec<Node>),
    Not(Box<Node>),
    /// The name is known, and is not `no`.
    Holds(String),
    Known(String),
    Compare(String, Op, Value),
    In(String, Vec<Value>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Equal,
    Unequal,
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Value(Value),
    Op(Op),
    Open,
    Close,
    Comma,
}

impl When {
    /// Reads a condition. `kinds` gives every name that may stand in it; `contact.…` may always. The error says what is
    /// wrong with it.
    pub fn parse(text: &str, kinds: &BTreeMap<String, Kind>) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, kinds };
        let node = parser.or()?;
        match parser.tokens.get(parser.at) {
            None => Ok(Self(node)),
            Some(t) => Err(format!("{} is too much in condition `{text}`", t.shown())),
        }
    }

    /// Whether it holds.
    pub fn holds(&self, value: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.0.holds(value)
    }
}

impl Node {
    fn holds(&self, value: &dyn Fn(&str) -> Option<Value>) -> bool {
        match self {
            Self::Or(any) => any.iter().any(|n| n.holds(value)),
            Self::And(all) => all.iter().all(|n| n.holds(value)),
            Self::Not(n) => !n.holds(value),
            Self::Known(name) => value(name).is_some(),
            Self::Holds(name) => match value(name) {
                Some(Value::Text(t)) => !matches!(t.as_str(), "" | "no" | "false" | "0"),
                Some(Value::Number(n)) => n > 0.0,
                None => false,
            },
            Self::Compare(name, op, literal) => value(name).is_some_and(|v| compare(&v, *op, literal)),
            Self::In(name, any) => value(name).is_some_and(|v| any.iter().any(|l| compare(&v, Op::Equal, l))),
        }
    }
}

fn compare(value: &Value, op: Op, literal: &Value) -> bool {
    let order = match (value, literal) {
        (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Number(b)) => {
            a.trim_start_matches('$').parse::<f64>().ok().and_then(|a| a.partial_cmp(b))
        }
        (Value::Text(a), Value::Text(b)) => Some(a.to_lowercase().cmp(&b.to_lowercase())),
        (Value::Number(_), Value::Text(_)) => None,
    };
    order.is_some_and(|o| match op {
        Op::Equal => o.is_eq(),
        Op::Unequal => o.is_ne(),
        Op::Less => o.is_lt(),
        Op::AtMost => o.is_le(),
        Op::More => o.is_gt(),
        Op::AtLeast => o.is_ge(),
    })
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    kinds: &'a BTreeMap<String, Kind>,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<&Token> {
        self.at += 1;
        self.tokens.get(self.at - 1)
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let here = matches!(self.tokens.get(self.at), Some(Token::Word(w)) if w == word);
        self.at += usize::from(here);
        here
    }

    fn or(&mut self) -> Result<Node, String> {
        let mut any = vec![self.and()?];
        while self.takes_word("or") {
            any.push(self.and()?);
        }
        Ok(if any.len() == 1 { any.remove(0) } else { Node::Or(any) })
    }

    fn and(&mut self) -> Result<Node, String> {
        let mut all = vec![self.not()?];
        while self.takes_word("and") {
            all.push(self.not()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Node::And(all) })
    }

    fn not(&mut self) -> Result<Node, String> {
        if self.takes_word("not") {
            return Ok(Node::Not(Box::new(self.not()?)));
        }
        match self.next().cloned() {
            Some(Token::Open) => {
                let inner = self.or()?;
                match self.next() {
                    Some(Token::Close) => Ok(inner),
                    _ => Err("a `(` is not closed".into()),
                }
            }
            Some(Token::Word(name)) => self.about(name),
            Some(t) => Err(format!("{} stands where a slot's name should", t.shown())),
            None => Err("the condition breaks off".into()),
        }
    }

    fn about(&mut self, name: String) -> Result<Node, String> {
        let kind = self.kind(&name)?;
        if self.takes_word("is") {
            return if self.takes_word("known") {
                Ok(Node::Known(name))
            } else if self.takes_word("missing") {
                Ok(Node::Not(Box::new(Node::Known(name))))
            } else {
                Err(format!("after `{name} is` stands `known` or `missing`"))
            };
        }
        if self.takes_word("in") {
            return self.list(name, &kind);
        }
        let Some(Token::Op(op)) = self.tokens.get(self.at).cloned() else { return Ok(Node::Holds(name)) };
        self.at += 1;
        let literal = self.literal(&name, &kind)?;
        let ordered = matches!(op, Op::Equal | Op::Unequal) || !matches!(kind, Kind::OneOf(_));
        if !ordered {
            return Err(format!("`{name}` is one of several words; only = and != compare it"));
        }
        Ok(Node::Compare(name, op, literal))
    }

    fn list(&mut self, name: String, kind: &Kind) -> Result<Node, String> {
        if self.next() != Some(&Token::Open) {
            return Err(format!("after `{name} in` stands a list, ('a', 'b')"));
        }
        let mut any = Vec::new();
        loop {
            any.push(self.literal(&name, kind)?);
            match self.next() {
                Some(Token::Comma) => {}
                Some(Token::Close) => return Ok(Node::In(name, any)),
                _ => return Err("a list is not closed".into()),
            }
        }
    }

    fn literal(&mut self, name: &str, kind: &Kind) -> Result<Value, String> {
        let Some(Token::Value(value)) = self.next().cloned() else {
            return Err(format!("`{name}` is compared with nothing; write a number or 'words'"));
        };
        match (kind, &value) {
            (Kind::Number, Value::Text(t)) => Err(format!("`{name}` is a number and cannot be '{t}'")),
            (Kind::OneOf(all), Value::Text(t)) if !all.contains(t) => {
                Err(format!("`{name}` is never '{t}'; it can be: {}", all.join(", ")))
            }
            (Kind::OneOf(_), Value::Number(n)) => Err(format!("`{name}` is no number and cannot be {n}")),
            _ => Ok(value),
        }
    }

    fn kind(&self, name: &str) -> Result<Kind, String> {
        if let Some(attribute) = name.strip_prefix("contact.").filter(|a| !a.is_empty()) {
            let known = self.kinds.get(&format!("contact.{attribute}"));
            return Ok(known.cloned().unwrap_or(Kind::Text));
        }
        self.kinds.get(name).cloned().ok_or_else(|| {
            let all: Vec<&str> = self.kinds.keys().map(String::as_str).collect();
            format!("`{name}` is nothing that is known; there are: {}, contact.…", all.join(", "))
        })
    }
}

impl Token {
    fn shown(&self) -> String {
        match self {
            Self::Word(w) => format!("`{w}`"),
            Self::Value(Value::Text(t)) => format!("'{t}'"),
            Self::Value(Value::Number(n)) => n.to_string(),
            Self::Op(_) => "an operator".into(),
            Self::Open | Self::Close => "a parenthesis".into(),
            Self::Comma => "a comma".into(),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    while let Some(c) = rest.chars().next() {
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.')).collect();
        let taken = if c == '\'' {
            let inside = rest[1..].split_once('\'').ok_or("a ' is not closed")?.0;
            out.push(Token::Value(Value::Text(inside.to_owned())));
            inside.len() + 2
        } else if c.is_ascii_digit() {
            let number = word.parse().map_err(|_| format!("`{word}` is no number"))?;
            out.push(Token::Value(Value::Number(number)));
            word.len()
        } else if !word.is_empty() {
            out.push(Token::Word(word.clone()));
            word.len()
        } else {
            let (token, n) = symbol(rest).ok_or_else(|| format!("`{c}` has no meaning in a condition"))?;
            out.push(token);
            n
        };
        rest = rest[taken..].trim_start();
    }
    Ok(out)
}

fn symbol(rest: &str) -> Option<(Token, usize)> {
    let known = [
        ("!=", Token::Op(Op::Unequal)),
        ("<=", Token::Op(Op::AtMost)),
        (">=", Token::Op(Op::AtLeast)),
        ("=", Token::Op(Op::Equal)),
        ("<", Token::Op(Op::Less)),
        (">", Token::Op(Op::More)),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
    ];
    known.into_iter().find(|(s, _)| rest.starts_with(s)).map(|(s, t)| (t, s.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds() -> BTreeMap<String, Kind> {
        [
            ("amount", Kind::Number),
            ("injured", Kind::OneOf(vec!["yes".into(), "no".into()])),
            ("topic", Kind::OneOf(vec!["refund".into(), "cancel".into()])),
            ("day", Kind::Text),
        ]
        .map(|(n, k)| (n.to_owned(), k))
        .into()
    }

    fn holds(text: &str) -> bool {
        When::parse(text, &kinds()).unwrap().holds(&|name| match name {
            "amount" => Some(Value::Number(450.0)),
            "injured" => Some(Value::Text("yes".into())),
            "topic" => Some(Value::Text("refund".into())),
            "contact.tier" => Some(Value::Text("VIP".into())),
            "contact.spent" => Some(Value::Text("12000".into())),
            _ => None,
        })
    }

    #[test]
    fn conditions_hold_or_not() {
        for yes in [
            "amount > 200",
            "amount >= 450 and topic = 'refund'",
            "injured",
            "not (topic = 'cancel' or amount < 10)",
            "contact.tier in ('vip', 'gold')",
            "contact.spent > 10000",
            "day is missing",
            "amount is known and not day is known",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in ["amount > 450", "day < '2026-01-01'", "day != '2026-01-01'", "contact.name = 'x'", "not injured"] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for bad in [
            "",
            "amount >",
            "amount > 'much'",
            "amonut > 3",
            "topic = 'refunds'",
            "topic = 3",
            "topic < 'refund'",
            "(amount > 3",
            "amount > 3)",
            "amount is big",
            "topic in 'refund'",
            "topic in ('refund'",
            "amount & 3",
            "day = 'x",
            "amount > 3 amount",
        ] {
            assert!(When::parse(bad, &kinds()).is_err(), "{bad}");
        }
    }
}
