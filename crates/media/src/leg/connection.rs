//! What was agreed with a peer, with the coders and keys that follow from it: made on the control side, in one piece.

use crate::Agreement;
use crate::srtp::Secure;
use crate::voice::Voices;

/// See the module.
pub struct Connection {
    /// What was agreed.
    pub agreement: Agreement,
    /// Encoders and decoders.
    pub voices: Voices,
    /// SRTP, where keys were agreed.
    pub secure: Option<Secure>,
}

impl Connection {
    /// Makes coders and session keys. Allocates.
    pub fn new(agreement: Agreement) -> Self {
        Self { voices: Voices::of(&agreement.codecs), secure: agreement.crypto.map(Secure::new), agreement }
    }

    /// Goes on from the agreement before it: coders and keys that are the same keep their state.
    pub fn go_on_from(&mut self, old: &mut Self) {
        self.voices.go_on_from(&mut old.voices);
        if let (Some(new), Some(old)) = (&mut self.secure, &mut old.secure) {
            new.go_on_from(old);
        }
    }
}
