//! Texts with `{slots}`, or `{slot:filter}`: how a value is said. `[…]` is left out unless everything in it is known; `[a|b|c]` takes the first that can be told.

use std::collections::BTreeSet;

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Text(String),
    Slot(String, Filter),
    Section(Vec<Vec<Node>>),
}

/// How a value is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Filter {
    /// As it is.
    Plain,
    /// Its digits one by one.
    Digits,
    /// Letters and digits one by one.
    Spell,
    /// Its first word.
    First,
    /// At most ten words.
    Short,
}

impl Filter {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "digits" => Self::Digits,
            "spell" => Self::Spell,
            "first" => Self::First,
            "short" => Self::Short,
            _ => return None,
        })
    }

    fn apply(self, value: &str) -> String {
        let one_by_one =
            |keep: fn(&char) -> bool| value.chars().filter(keep).map(String::from).collect::<Vec<_>>().join(" ");
        match self {
            Self::Plain => value.to_owned(),
            Self::Digits => one_by_one(char::is_ascii_digit),
            Self::Spell => one_by_one(|c| c.is_alphanumeric()),
            Self::First => value.split_whitespace().next().unwrap_or_default().to_owned(),
            Self::Short => value.split_whitespace().take(10).collect::<Vec<_>>().join(" "),
        }
    }
}

impl Template {
    /// Reads a template; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut nodes = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['[', ']']) {
            if rest[at..].starts_with(']') {
                return Err("`]` without `[` before it".into());
            }
            plain(&rest[..at], &mut nodes)?;
            let inside = &rest[at + 1..];
            let end = inside.find(']').ok_or("`[` without `]`")?;
            if inside[..end].contains('[') {
                return Err("sections `[…]` cannot stand in one another".into());
            }
            let mut options = Vec::new();
            for option in inside[..end].split('|') {
                let mut nodes = Vec::new();
                plain(option, &mut nodes)?;
                options.push(nodes);
            }
            nodes.push(Node::Section(options));
            rest = &inside[end + 1..];
        }
        plain(rest, &mut nodes)?;
        Ok(Self { nodes })
    }

    /// Every slot it names.
    pub fn slots(&self) -> BTreeSet<&str> {
        fn collect<'a>(nodes: &'a [Node], out: &mut BTreeSet<&'a str>) {
            for node in nodes {
                match node {
                    Node::Text(_) => {}
                    Node::Slot(name, _) => {
                        out.insert(name);
                    }
                    Node::Section(options) => options.iter().for_each(|o| collect(o, out)),
                }
            }
        }
        let mut out = BTreeSet::new();
        collect(&self.nodes, &mut out);
        out
    }

    /// Slots that stand outside every section: the text would have a hole where they are not known.
    pub fn bare_slots(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().filter_map(|n| if let Node::Slot(name, _) = n { Some(name.as_str()) } else { None })
    }

    /// The text, with what `value` knows.
    pub fn render(&self, value: &dyn Fn(&str) -> Option<String>) -> String {
        let mut out = String::new();
        for node in &self.nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Slot(name, filter) => out.push_str(&filter.apply(&value(name).unwrap_or_default())),
                Node::Section(options) => {
                    if let Some(text) = options.iter().find_map(|o| whole(o, value)) {
                        out.push_str(&text);
                    }
                }
            }
        }
        tidy(&out)
    }
}

fn whole(nodes: &[Node], value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let part = |node: &Node| match node {
        Node::Text(text) => Some(text.clone()),
        Node::Slot(name, filter) => value(name).map(|v| filter.apply(&v)).filter(|v| !v.is_empty()),
        Node::Section(_) => None,
    };
    nodes.iter().map(part).collect()
}

fn plain(text: &str, nodes: &mut Vec<Node>) -> Result<(), String> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (inside, tail) = after.split_once('}').ok_or("`{` without `}`")?;
        let (name, filter) = match inside.split_once(':') {
            None => (inside, Filter::Plain),
            Some((name, filter)) => (
                name,
                Filter::named(filter).ok_or_else(|| {
                    format!("`{filter}` is no way to say a value; there are digits, spell, first and short")
                })?,
            ),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
            return Err(format!("`{{{name}}}` is no slot name"));
        }
        nodes.push(Node::Text(before.to_owned()));
        nodes.push(Node::Slot(name.to_owned(), filter));
        rest = tail;
    }
    if rest.contains('}') {
        return Err("`}` without `{` before it".into());
    }
    nodes.push(Node::Text(rest.to_owned()));
    Ok(())
}

/// One blank between words, none before a stop, one stop at a sentence's end.
fn tidy(text: &str) -> String {
    let mut out = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (from, to) in [(" .", "."), (" ,", ","), ("..", "."), (",.", "."), ("?.", "?"), ("!.", "!")] {
        out = out.replace(from, to);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str) -> String {
        let value = |name: &str| match name {
            "name" => Some("Ann".to_owned()),
            "order" => Some("A-1".to_owned()),
            "why" => Some("is it late?".to_owned()),
            "number" => Some("+1555".to_owned()),
            _ => None,
        };
        Template::parse(text).unwrap().render(&value)
    }

    #[test]
    fn sections_go_when_a_value_is_missing() {
        assert_eq!(render("[{name}|A caller][, about order {order}][, phone {phone}]."), "Ann, about order A-1.");
        assert_eq!(render("{number:digits}, {order:spell}, {why:first}."), "1 5 5 5, A 1, is.");
        assert_eq!(render("[{phone}|{nothing}|No name]. [Asks {why}.]"), "No name. Asks is it late?");
    }

    #[test]
    fn refuses_nonsense() {
        for bad in ["{", "}", "{a", "[", "]", "[[a]]", "{Not A Slot}", "{}", "{a:loud}", "{:short}"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
