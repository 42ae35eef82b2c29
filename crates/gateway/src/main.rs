//! `baton`: the gateway's binary. This crate wires the rooms together and decides nothing about a call: one task drives
//! each [`baton_call::Call`], and everything with a socket, a file or a clock is on this side of it.

mod cli;
mod config;
mod letters;
mod run;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
