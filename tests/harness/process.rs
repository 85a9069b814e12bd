//! Runs a program to its end, with a time limit.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// What a program did.
#[derive(Clone, Debug)]
pub struct Output {
    /// The command line, for messages.
    pub what: String,
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Output {
    /// The answer of a program that succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n--- stdout\n{}\n--- stderr\n{}", self.what, self.stdout, self.stderr);
        self.stdout
    }

    /// What a program wrote to stderr that failed, as it should.
    ///
    /// # Panics
    /// When it succeeded.
    #[must_use]
    pub fn failed(self) -> String {
        assert_ne!(self.code, Some(0), "{} should have failed\n--- stdout\n{}", self.what, self.stdout);
        self.stderr
    }
}

/// Runs a command; it is killed when it takes longer than `limit` or when the test ends.
///
/// # Panics
/// When it cannot be started or takes too long.
pub async fn run(command: &mut Command, limit: Duration) -> Output {
    let what = format!("{:?}", command.as_std());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
    let output = tokio::time::timeout(limit, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{what} took more than {} s", limit.as_secs()))
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Output { what, code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
