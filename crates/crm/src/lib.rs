//! Systems of record behind one trait, written through a durable outbox.
