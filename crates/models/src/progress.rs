//! How a fetch tells what it does: a bar on a terminal, plain lines elsewhere. Always on standard error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};

/// Hears what a fetch does. One thing is under way at a time.
pub trait Progress {
    /// `what` begins: `total` bytes, of which `have` are there already (a resumed download).
    fn start(&mut self, what: &str, total: u64, have: u64);
    /// That many bytes more.
    fn advance(&mut self, bytes: u64);
    /// It is done, or given up; the next `start` follows.
    fn finish(&mut self);
    /// A line for people.
    fn say(&mut self, line: &str);
}

/// Says nothing.
#[derive(Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&mut self, _: &str, _: u64, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn finish(&mut self) {}
    fn say(&mut self, _: &str) {}
}

/// Standard error: a bar if it is a terminal, else a line at every tenth of what is long.
pub struct Console {
    terminal: bool,
    bar: Option<ProgressBar>,
    what: String,
    total: u64,
    done: u64,
    tenths: u64,
}

impl Default for Console {
    fn default() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), bar: None, what: String::new(), total: 0, done: 0, tenths: 0 }
    }
}

impl Console {
    fn line(&self, line: &str) {
        // Nobody is left to hear of it when standard error is gone.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

impl Progress for Console {
    fn start(&mut self, what: &str, total: u64, have: u64) {
        (self.what, self.total, self.done) = (what.to_owned(), total.max(1), have);
        self.tenths = have * 10 / self.total;
        if !self.terminal {
            let from = if have > 0 { format!(", {} MB of it here", have / 1_000_000) } else { String::new() };
            return self.line(&format!("{what} ({} MB{from})", total.div_ceil(1_000_000)));
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let look = "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what.to_owned());
        bar.set_position(have);
        bar.reset_eta();
        self.bar = Some(bar);
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        match &self.bar {
            Some(bar) => bar.inc(bytes),
            None => {
                let tenths = self.done * 10 / self.total;
                if tenths > self.tenths && self.total > 10_000_000 {
                    self.tenths = tenths;
                    self.line(&format!("{}: {} %", self.what, tenths * 10));
                }
            }
        }
    }

    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.line(line)),
            None => self.line(line),
        }
    }
}
