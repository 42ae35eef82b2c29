//! Card numbers that no single text holds whole: said over several turns of a call, or typed and not finished. What one turn
//! ends with and the next begins with is read as one number; its parts are then taken out of everything else.

use serde_json::Value;

use super::{CARD, Token, card, is_issuer, tokens};

/// Between two parts of a number so many of the caller's turns may hold none of it ("wait, I'll get it").
const ASIDES: usize = 2;
/// Fewer figures than this tell nothing by themselves: they stay in other texts, where they may be anything.
const TELLING: usize = 4;
/// Whoever types so many figures and begins as a card does is typing a card. Telephone numbers are shorter.
const TYPED: usize = 12;

/// Takes the parts of card numbers out of a call's turns, and answers them.
pub(super) fn out_of(turns: &mut [Value]) -> Vec<String> {
    let mut parts = Vec::new();
    while let Some(found) = find(turns) {
        for (turn, range) in found {
            let Some(Value::String(text)) = turns.get_mut(turn).and_then(|turn| turn.get_mut("text")) else { continue };
            let figures: String = tokens(&text[range.clone()]).iter().map(|token| token.digits.as_str()).collect();
            text.replace_range(range, CARD);
            if figures.len() >= TELLING {
                parts.push(figures);
            }
        }
    }
    parts
}

/// Takes `parts` out of a text: wherever figures in a row make up one of them.
pub(super) fn mask(text: &mut String, parts: &[String]) -> bool {
    let mut found = false;
    for part in parts {
        while let Some(range) = standing(text, part) {
            text.replace_range(range, CARD);
            found = true;
        }
    }
    found
}

fn standing(text: &str, part: &str) -> Option<std::ops::Range<usize>> {
    let tokens = tokens(text);
    for first in 0..tokens.len() {
        let mut figures = String::new();
        for token in &tokens[first..] {
            if token.digits.is_empty() || token.plus {
                break;
            }
            figures.push_str(&token.digits);
            if figures == part {
                return Some(tokens[first].range.start..token.range.end);
            }
        }
    }
    None
}

type Place = (usize, std::ops::Range<usize>);

/// The first card number over several turns, or typed by half: which turns, and where in each.
fn find(turns: &[Value]) -> Option<Vec<Place>> {
    let said: Vec<(usize, Vec<Token<'_>>, bool)> = turns
        .iter()
        .enumerate()
        .filter(|(_, turn)| turn["who"] != "assistant")
        .filter_map(|(at, turn)| Some((at, tokens(turn["text"].as_str()?), turn["dtmf"] == true)))
        .collect();
    for (from, (at, tokens, typed)) in said.iter().enumerate() {
        // The turn's last figures, and what the caller's next turns go on with.
        let Some(mut chain) = runs(tokens).pop().map(<[Token<'_>]>::to_vec) else { continue };
        let mut whose = vec![*at; chain.len()];
        let mut typed = *typed;
        if typed && begins_as_card(&chain) {
            return Some(places(&chain, &whose));
        }
        let mut asides = 0;
        for (next, tokens, keys) in &said[from + 1..] {
            let runs = runs(tokens);
            let Some(first) = runs.first() else {
                asides += 1;
                if asides > ASIDES { break } else { continue }
            };
            chain.extend(first.iter().cloned());
            whose.resize(chain.len(), *next);
            if let Some((first, last)) = card(&chain)
                && whose[first] != whose[last]
            {
                return Some(places(&chain[first..=last], &whose[first..=last]));
            }
            typed &= keys;
            if typed && begins_as_card(&chain) {
                return Some(places(&chain, &whose));
            }
            if runs.len() > 1 || chain.len() > 60 {
                break;
            }
        }
    }
    None
}

fn begins_as_card(tokens: &[Token<'_>]) -> bool {
    let figures: String = tokens.iter().map(|token| token.digits.as_str()).collect();
    figures.len() >= TYPED && is_issuer(&figures)
}

/// Figures in a row, each row by itself. After a `+` the row is a telephone number.
fn runs<'t, 'a>(tokens: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let row = tokens[at..].iter().take_while(|token| !token.digits.is_empty()).count();
        let end = tokens[at..at + row].iter().position(|token| token.plus).unwrap_or(row);
        if end > 0 {
            out.push(&tokens[at..at + end]);
        }
        at += row.max(1);
    }
    out
}

fn places(tokens: &[Token<'_>], whose: &[usize]) -> Vec<Place> {
    let mut out: Vec<Place> = Vec::new();
    for (token, turn) in tokens.iter().zip(whose) {
        match out.last_mut() {
            Some((last, range)) if last == turn => range.end = token.range.end,
            _ => out.push((*turn, token.range.clone())),
        }
    }
    out
}
