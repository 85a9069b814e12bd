//! How far something is, on stderr: a bar in a terminal, a line now and then elsewhere.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::output;
use crate::control::wire::Progress;

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress; what is shown disappears when it is dropped.
pub(super) struct Meter {
    bar: Option<ProgressBar>,
    what: String,
    last_line: Option<Instant>,
}

impl Meter {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { bar, what: String::new(), last_line: None }
    }

    pub(super) fn show(&mut self, progress: &Progress) {
        let is_new = self.what != progress.what;
        self.what.clone_from(&progress.what);
        match &self.bar {
            Some(bar) => {
                if is_new {
                    bar.set_style(style(progress));
                    bar.set_message(progress.what.clone());
                }
                if let Some(total) = progress.total {
                    bar.set_length(total);
                }
                bar.set_position(progress.done);
            }
            None if is_new || self.last_line.is_none_or(|last| last.elapsed() >= LINE_INTERVAL) => {
                self.last_line = Some(Instant::now());
                // Nobody is left to read it when stderr is closed.
                let _ = output::note(line(progress));
            }
            None => {}
        }
    }
}

/// Shows what the engine tells while a command works on a stopped store.
pub(super) fn engine_progress() -> engine::OnProgress {
    let meter = std::sync::Mutex::new(Meter::new());
    engine::OnProgress::new(move |progress| {
        // A poisoned lock only means that another thread could not write to stderr.
        meter.lock().unwrap_or_else(std::sync::PoisonError::into_inner).show(&progress.into());
    })
}

impl Drop for Meter {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(progress: &Progress) -> ProgressStyle {
    let template = match (progress.total, progress.is_bytes) {
        (None, _) => return ProgressStyle::default_spinner(),
        (Some(_), true) => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        (Some(_), false) => "{msg} [{bar:30}] {pos}/{len} {eta}",
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(progress: &Progress) -> String {
    let shown = |count| if progress.is_bytes { output::size(count) } else { count.to_string() };
    match progress.total {
        Some(total) => format!("{}: {} of {}", progress.what, shown(progress.done), shown(total)),
        None => progress.what.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_and_how_far() {
        let bytes = Progress { what: "copying a".to_owned(), done: 1 << 20, total: Some(2 << 20), is_bytes: true };
        assert_eq!(line(&bytes), "copying a: 1.00 MiB of 2.00 MiB");
        let steps = Progress { what: "applying".to_owned(), done: 3, total: Some(7), is_bytes: false };
        assert_eq!(line(&steps), "applying: 3 of 7");
        assert_eq!(line(&Progress { what: "reading".to_owned(), ..Progress::default() }), "reading");
    }
}
