//! `baton init DIR`: a commented config to start from. Never overwrites.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::{refuse, say};
use crate::config::EMBEDDED;

pub fn main(dir: &Path) -> ExitCode {
    let file = dir.join("baton.toml");
    if file.exists() {
        return refuse(&format!("{} is there already; give another folder", file.display()));
    }
    if let Err(e) = fs::create_dir_all(dir).and_then(|()| fs::write(&file, EMBEDDED)) {
        return refuse(&format!("cannot write {}: {e}", file.display()));
    }
    let file = file.display();
    say(&format!("wrote {file}\nnext: edit it, then  baton check --config {file}  and  baton run --config {file}"));
    ExitCode::SUCCESS
}
