//! From words to facts: numbers, money, names, set phrases. English as telephone callers speak it and as a recogniser
//! writes it down. Nothing here remembers anything between two utterances.

pub mod codes;
pub mod dates;
pub mod lexicon;
pub mod money;
pub mod mood;
pub mod names;
pub mod near;
pub mod numbers;
pub mod phrase;
pub mod repeats;
pub mod spelled;
pub mod value;
pub mod words;
