//! What an agent dials to say that they are there, or not. The codes are called like any number, from the agent's own phone;
//! the gateway answers with a tone and tells the desk.

use serde::{Deserialize, Serialize};

/// What an agent wishes, by whichever way it was said: feature code, API or desk page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// To take calls. Ends a pause, a wrap-up and an absence.
    Ready,
    /// To take none for a while.
    Pause {
        /// Why, in the house's own code; may be empty.
        reason: String,
    },
    /// To be away until they say that they are ready, whatever the phone does.
    SignOut,
}

/// The codes. A code that is empty is off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeatureCodes {
    /// Ready.
    pub ready: String,
    /// Pause. What is dialled after it is the reason (`*463`: reason 3).
    pub pause: String,
    /// Sign out.
    pub sign_out: String,
}

impl Default for FeatureCodes {
    fn default() -> Self {
        Self { ready: "*45".into(), pause: "*46".into(), sign_out: "*47".into() }
    }
}

impl FeatureCodes {
    /// What dialling this means; `None`: it is no code of these.
    pub fn dialled(&self, number: &str) -> Option<Wish> {
        let is = |code: &str| !code.is_empty() && number == code;
        if is(&self.ready) {
            return Some(Wish::Ready);
        }
        if is(&self.sign_out) {
            return Some(Wish::SignOut);
        }
        let reason = number.strip_prefix(&self.pause).filter(|_| !self.pause.is_empty())?;
        let plain = reason.chars().all(|c| c.is_ascii_digit()) && reason.len() <= 4;
        plain.then(|| Wish::Pause { reason: reason.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_whole_numbers_and_a_pause_may_say_why() {
        let codes = FeatureCodes::default();
        let pause = |reason: &str| Some(Wish::Pause { reason: reason.into() });
        assert_eq!(codes.dialled("*45"), Some(Wish::Ready));
        assert_eq!(codes.dialled("*46"), pause(""));
        assert_eq!(codes.dialled("*4612"), pause("12"));
        assert_eq!(codes.dialled("*47"), Some(Wish::SignOut));
        for other in ["*451", "45", "*46x", "*46123456", "", "1001"] {
            assert_eq!(codes.dialled(other), None, "{other}");
        }
        let off = FeatureCodes { pause: String::new(), ..FeatureCodes::default() };
        assert_eq!(off.dialled("1001"), None, "an empty code is no prefix of everything");
    }
}
