//! What must outlive the process: contacts, orders, cases, calls, outbox.
