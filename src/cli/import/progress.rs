//! How far an import is: a bar in a terminal, a line every few seconds elsewhere, on standard error.

use std::{fmt, io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use tokio::time::Instant;

/// How often a line is printed where there is no bar.
pub(super) const EVERY: Duration = Duration::from_secs(5);

/// Shows how far it is.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    rows: u64,
    done: u64,
    began: Instant,
}

impl Progress {
    /// At the first of so many rows.
    pub(super) fn new(rows: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = "{bar:30} {human_pos} of {human_len} rows, {rate} a second, {eta} left";
            let style = ProgressStyle::with_template(template).expect("a fixed template");
            let style = style.with_key("rate", |state: &ProgressState, text: &mut dyn fmt::Write| {
                let _ = write!(text, "{:.0}", state.per_sec()); // where it is drawn, nothing can be mended
            });
            let bar = ProgressBar::new(rows).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, rows, done: 0, began: Instant::now() }
    }

    /// One more row is done.
    pub(super) fn advance(&mut self) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
    }

    /// Tells where it is, if no bar does.
    pub(super) fn tell(&self) {
        if self.bar.is_none() {
            eprintln!("{}", self.line(self.began.elapsed()));
        }
    }

    /// Says something else, above the bar.
    pub(super) fn say(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, elapsed: Duration) -> String {
        let (done, rows) = (self.done, self.rows);
        let a_second = u128::from(done) * 1_000 / elapsed.as_millis().max(1);
        let text = format!("{done} of {rows} rows, {a_second} a second");
        if done == 0 {
            return text;
        }
        // More than there were, if the file grew since they were counted.
        let left = elapsed.as_secs() * rows.saturating_sub(done) / done;
        format!("{text}, about {left} s left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_rate_and_the_time_left() {
        let at = |done| Progress { bar: None, rows: 1_000, done, began: Instant::now() };
        let five = Duration::from_secs(5);
        assert_eq!(at(200).line(five), "200 of 1000 rows, 40 a second, about 20 s left");
        assert_eq!(at(0).line(five), "0 of 1000 rows, 0 a second");
        assert_eq!(at(1_000).line(five), "1000 of 1000 rows, 200 a second, about 0 s left");
        assert_eq!(at(1_001).line(five), "1001 of 1000 rows, 200 a second, about 0 s left");
    }
}
