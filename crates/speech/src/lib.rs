//! Hearing and speaking: endpointing, worker pools, text for the voice. Engines stand behind traits.
