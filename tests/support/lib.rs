//! The whole-system bench.
