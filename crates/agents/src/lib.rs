//! Who takes the call: agents, their states, queues. Pure.
