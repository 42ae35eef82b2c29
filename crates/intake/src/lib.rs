//! What is collected from a caller, when a person is called, and what that person is told. Pure.
