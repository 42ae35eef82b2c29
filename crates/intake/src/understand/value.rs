//! The value of a slot in what was said, for the kinds that stand on their own: the slot's definition in, its canonical
//! written form out.

use super::dates::{self, Day};
use super::phrase::best;
use super::words::words;
use super::{codes, lexicon, money, names, spelled};
use crate::flow::Slot;
use crate::raw::{self, SlotKind};

/// The value of `slot` in `text`, which answers the slot's question. `None`: there is none.
pub fn read(slot: &Slot, text: &str, today: Option<Day>) -> Option<String> {
    let w = words(text);
    match slot.kind {
        SlotKind::Email => spelled::email(text, &w),
        SlotKind::Date => {
            // Without a calendar a date in words still shows whether it can be understood.
            let stand_in = Day { year: 2000, month: 1, day: 1 };
            dates::date(&w, Some(today.unwrap_or(stand_in)), around(slot)).map(Day::iso)
        }
        SlotKind::Choice => choice(slot, text),
        SlotKind::YesNo | SlotKind::AccountHolder => {
            lexicon::answer(&w).map(|yes| if yes { "yes" } else { "no" }.to_owned()).or_else(|| yes_or_no(slot, text))
        }
        SlotKind::Text | SlotKind::Reason => text_of(text),
        SlotKind::Spelled => spelled::word(&w),
        SlotKind::Code | SlotKind::Number => {
            codes::runs(&w, false).iter().flat_map(|r| r.codes(&slot.patterns, true)).map(|c| c.value).next()
        }
        SlotKind::Money => money::disputed(&w, &money::amounts(&w, true)).map(|a| money::written(a.cents)),
        SlotKind::Phone => codes::phone(&w),
        SlotKind::PersonName => names::answered(&w),
    }
}

/// What stands for yes or no by the slot's own phrases. A no goes first: "nobody was hurt" has "was hurt" in it.
pub fn yes_or_no(slot: &Slot, text: &str) -> Option<String> {
    let w = words(text);
    let said = |value: &str| slot.options.iter().any(|o| o.0 == value && best(&o.1, &w).is_some());
    ["no", "yes"].into_iter().find(|v| said(v)).map(str::to_owned)
}

/// The option of a choice that was said; the most telling one, and the last of several as telling.
pub fn choice(slot: &Slot, text: &str) -> Option<String> {
    let w = words(text);
    let w = match lexicon::correction_point(&w) {
        Some(point) if slot.options.iter().any(|o| best(&o.1, &w[point..]).is_some()) => &w[point..],
        _ => &w[..],
    };
    let scored = slot.options.iter().filter_map(|(value, phrases)| best(phrases, w).map(|f| (f.score, f.start, value)));
    scored.max_by_key(|s| (s.0, s.1)).map(|s| s.2.clone())
}

/// What an utterance says, without the words around it ("it's", "um").
pub fn text_of(text: &str) -> Option<String> {
    let lead = |w: &str| {
        let bare: String = w.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
        matches!(
            bare.as_str(),
            "" | "its" | "um" | "uh" | "well" | "so" | "yes" | "yeah" | "okay" | "ok" | "sure" | "is"
        )
    };
    let kept: Vec<&str> = text.split_whitespace().skip_while(|w| lead(w)).take(30).collect();
    let out = kept.join(" ").trim_end_matches(['.', ',', '!', ';', ' ']).to_owned();
    (!out.is_empty()).then_some(out)
}

/// Which day is meant when the year or week is not said.
pub fn around(slot: &Slot) -> dates::Around {
    match slot.around {
        raw::Around::Past => dates::Around::Past,
        raw::Around::Future => dates::Around::Future,
    }
}
