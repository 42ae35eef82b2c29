//! Tone.
mod contour;
mod features;
mod pitch;
mod pulses;
mod spectrum;

pub use features::{Features, LEAST_VOICED_S, LONGEST_S};
