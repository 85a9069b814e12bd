//! Executables of the operator that run before and after each action.
//!
//! Only the configuration names them. They are started without a shell and without arguments, in the staging directory, in
//! a process group of their own that is killed at the time limit, with an environment of nothing but `PATH` and:
//!
//! | variable | value |
//! |---|---|
//! | `CLOUDHOLD_STAGING_ACTION` | `before_pull`, `after_pull`, `before_push` ... |
//! | `CLOUDHOLD_STAGING_BUCKET`, `CLOUDHOLD_STAGING_KEY` | the object |
//! | `CLOUDHOLD_STAGING_PATH` | the staged file, an absolute path |
//! | `CLOUDHOLD_STAGING_ROOT` | the staging directory |
//! | `CLOUDHOLD_STAGING_SIZE_BYTES` | the size of the object or file |
//!
//! What they print goes to the log, line by line and bounded.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::settings::HookSettings;
use crate::{Error, Result};

/// Where hooks find the programs that they call.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest line that is logged; the rest of it is dropped.
const LINE_BYTES_MAX: usize = 1024;
/// Most lines that are logged of each stream; the rest is read and dropped.
const LINES_MAX: usize = 1000;
/// How long the output of a hook that ended is waited for: something it left running may keep the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforePull,
    AfterPull,
    BeforePush,
    AfterPush,
    BeforeEvict,
    AfterEvict,
}

impl Point {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BeforePull => "before_pull",
            Self::AfterPull => "after_pull",
            Self::BeforePush => "before_push",
            Self::AfterPush => "after_push",
            Self::BeforeEvict => "before_evict",
            Self::AfterEvict => "after_evict",
        }
    }

    fn executable(self, settings: &HookSettings) -> Option<&PathBuf> {
        match self {
            Self::BeforePull => settings.before_pull.as_ref(),
            Self::AfterPull => settings.after_pull.as_ref(),
            Self::BeforePush => settings.before_push.as_ref(),
            Self::AfterPush => settings.after_push.as_ref(),
            Self::BeforeEvict => settings.before_evict.as_ref(),
            Self::AfterEvict => settings.after_evict.as_ref(),
        }
    }
}

/// What a hook is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'a> {
    pub(crate) root: &'a Path,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    /// Relative to the root.
    pub(crate) path: &'a str,
    pub(crate) size_bytes: u64,
}

/// Runs the hook of a point, when there is one; anything but its success is an error.
pub(crate) async fn run(settings: &HookSettings, point: Point, occasion: Occasion<'_>) -> Result<()> {
    let Some(executable) = point.executable(settings) else { return Ok(()) };
    let hook = point.name();
    let failed = |why: String| Error::Hook { hook, why };
    tracing::info!(hook, path = occasion.path, "starting the staging hook");
    let mut child =
        command(executable, point, occasion).spawn().map_err(|error| failed(format!("cannot be started: {error}")))?;
    let group = Group::of(&child);
    let out = child.stdout.take().map(|stream| tokio::spawn(log_lines(hook, "stdout", stream)));
    let err = child.stderr.take().map(|stream| tokio::spawn(log_lines(hook, "stderr", stream)));
    let status = match tokio::time::timeout(settings.time_limit(), child.wait()).await {
        Ok(status) => status.map_err(|error| failed(format!("cannot be waited for: {error}")))?,
        Err(_) => {
            // Dropping kills the whole group; the leader is reaped afterwards, so that its id is still its own.
            drop(group);
            let _ = child.wait().await;
            return Err(failed(format!("ran longer than {} s and was killed", settings.time_limit_s)));
        }
    };
    group.ended();
    last_line(out).await;
    let last = last_line(err).await;
    if status.success() {
        return Ok(());
    }
    Err(failed(describe(status, last)))
}

/// Runs the hook of a point after the fact: its failure is a warning.
pub(crate) async fn run_after(
    settings: &HookSettings,
    point: Point,
    occasion: Occasion<'_>,
    warnings: &mut Vec<String>,
) {
    if let Err(error) = run(settings, point, occasion).await {
        tracing::warn!(hook = point.name(), path = occasion.path, %error, "the staging hook failed");
        warnings.push(error.to_string());
    }
}

fn command(executable: &Path, point: Point, occasion: Occasion<'_>) -> Command {
    let mut command = Command::new(executable);
    command
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("CLOUDHOLD_STAGING_ACTION", point.name())
        .env("CLOUDHOLD_STAGING_BUCKET", occasion.bucket)
        .env("CLOUDHOLD_STAGING_KEY", occasion.key)
        .env("CLOUDHOLD_STAGING_PATH", occasion.root.join(occasion.path))
        .env("CLOUDHOLD_STAGING_ROOT", occasion.root)
        .env("CLOUDHOLD_STAGING_SIZE_BYTES", occasion.size_bytes.to_string())
        .current_dir(occasion.root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

fn describe(status: ExitStatus, last_line: Option<String>) -> String {
    let said = last_line.map(|line| format!(": {line}")).unwrap_or_default();
    match status.code() {
        Some(code) => format!("ended with status {code}{said}"),
        None => format!("was ended by a signal{said}"),
    }
}

/// The process group of a hook: killed when dropped, also when the action is given up.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// The leader was reaped, its id may be another's by now.
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It fails only when nothing of the group is left.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

async fn last_line(reader: Option<JoinHandle<Option<String>>>) -> Option<String> {
    tokio::time::timeout(OUTPUT_GRACE, reader?).await.ok()?.ok()?
}

/// Logs what a hook prints, and gives its last line.
async fn log_lines(hook: &'static str, stream: &'static str, mut pipe: impl AsyncRead + Unpin) -> Option<String> {
    let mut lines = Lines::default();
    let mut logged = 0_usize;
    let mut last = None;
    let mut buffer = vec![0; 8 << 10];
    loop {
        let read = pipe.read(&mut buffer).await.unwrap_or(0);
        let found = if read == 0 { lines.rest().into_iter().collect() } else { lines.feed(&buffer[..read]) };
        for line in found {
            match logged {
                ..LINES_MAX => tracing::info!(hook, stream, "{line}"),
                LINES_MAX => tracing::warn!(hook, stream, "further output is dropped"),
                _ => (),
            }
            logged = logged.saturating_add(1);
            last = Some(line);
        }
        if read == 0 {
            return last;
        }
    }
}

/// Cuts a stream into bounded lines that are safe to show.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut found = Vec::new();
        let mut pieces = bytes.split(|&byte| byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = LINE_BYTES_MAX.saturating_sub(self.line.len()).min(piece.len());
            self.line.extend_from_slice(&piece[..room]);
            if pieces.peek().is_some() {
                found.extend(self.rest());
            }
        }
        found
    }

    /// The line that was begun, without control characters; nothing when it is blank.
    fn rest(&mut self) -> Option<String> {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line))
            .trim_end()
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>();
        (!line.is_empty()).then_some(line)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Instant;

    use super::*;

    /// Writes an executable shell script. Another process writes it, because a file that this one has open for writing while
    /// a parallel test forks cannot be executed.
    pub(crate) fn script(dir: &Path, name: &str, text: &str) -> PathBuf {
        let (source, target) = (dir.join(format!("{name}.text")), dir.join(name));
        std::fs::write(&source, format!("#!/bin/sh\n{text}\n")).unwrap();
        let status =
            std::process::Command::new("install").args(["-m", "0755"]).arg(&source).arg(&target).status().unwrap();
        assert!(status.success());
        target
    }

    fn occasion(root: &Path) -> Occasion<'_> {
        Occasion { root, bucket: "secondary", key: "volumes/1/2/a b", path: "volumes/1/2/a b", size_bytes: 42 }
    }

    async fn run_script(text: &str, time_limit_s: u64) -> (tempfile::TempDir, Result<()>) {
        let temp = tempfile::tempdir().unwrap();
        let hook = script(temp.path(), "hook", text);
        let settings = HookSettings { before_pull: Some(hook), time_limit_s, ..HookSettings::default() };
        let result = run(&settings, Point::BeforePull, occasion(temp.path())).await;
        (temp, result)
    }

    #[tokio::test]
    async fn the_environment_is_ours_alone() {
        let (temp, result) = run_script("env > seen; pwd > where; cat > input", 10).await;
        result.unwrap();
        let seen = std::fs::read_to_string(temp.path().join("seen")).unwrap();
        let mut names: Vec<_> = seen.lines().filter_map(|line| line.split_once('=')).collect();
        // The shell itself adds these.
        names.retain(|(name, _)| !matches!(*name, "PWD" | "SHLVL" | "_" | "OLDPWD"));
        names.sort_unstable();
        let root = temp.path().to_str().unwrap();
        let path = format!("{root}/volumes/1/2/a b");
        let expected = [
            ("CLOUDHOLD_STAGING_ACTION", "before_pull"),
            ("CLOUDHOLD_STAGING_BUCKET", "secondary"),
            ("CLOUDHOLD_STAGING_KEY", "volumes/1/2/a b"),
            ("CLOUDHOLD_STAGING_PATH", path.as_str()),
            ("CLOUDHOLD_STAGING_ROOT", root),
            ("CLOUDHOLD_STAGING_SIZE_BYTES", "42"),
            ("PATH", SEARCH_PATH),
        ];
        assert_eq!(names, expected);
        assert_eq!(std::fs::read_to_string(temp.path().join("where")).unwrap().trim(), root);
        assert_eq!(std::fs::read(temp.path().join("input")).unwrap(), b"");
    }

    #[tokio::test]
    async fn a_failing_hook_says_why() {
        let (_temp, result) = run_script("echo fine; echo the filer is not mounted >&2; exit 3", 10).await;
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "the hook before_pull ended with status 3: the filer is not mounted");
    }

    #[tokio::test]
    async fn the_whole_process_group_dies_at_the_time_limit() {
        let begun = Instant::now();
        let (temp, result) = run_script("sleep 60 & echo $! > child; sleep 60", 1).await;
        assert!(result.unwrap_err().to_string().contains("ran longer than 1 s"));
        assert!(begun.elapsed() < Duration::from_secs(20));
        let child = std::fs::read_to_string(temp.path().join("child")).unwrap();
        let status = format!("/proc/{}/stat", child.trim());
        // It is gone, or a zombie that waits for its new parent to reap it.
        for _ in 0..100 {
            match std::fs::read_to_string(&status) {
                Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) | Err(_) => return,
            }
        }
        panic!("the hook's child lives on");
    }

    #[tokio::test]
    async fn a_hook_that_is_given_up_is_killed() {
        let temp = tempfile::tempdir().unwrap();
        let hook = script(temp.path(), "hook", "echo $$ > self; sleep 60; touch survived");
        let settings = HookSettings { before_pull: Some(hook), ..HookSettings::default() };
        let given_up =
            tokio::time::timeout(Duration::from_millis(500), run(&settings, Point::BeforePull, occasion(temp.path())));
        assert!(given_up.await.is_err());
        let pid = std::fs::read_to_string(temp.path().join("self")).unwrap();
        for _ in 0..100 {
            match std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())) {
                Ok(text) if !text.contains(") Z ") => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) | Err(_) => return,
            }
        }
        panic!("the hook lives on");
    }

    #[tokio::test]
    async fn a_hook_may_leave_something_running() {
        let begun = Instant::now();
        let (_temp, result) = run_script("sleep 5 & exit 0", 60).await;
        result.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[tokio::test]
    async fn much_output_neither_blocks_nor_grows() {
        let (_temp, result) =
            run_script("head -c 3000000 /dev/zero; yes x | head -n 200000; yes y | head -n 200000 >&2; exit 1", 60)
                .await;
        assert_eq!(result.unwrap_err().to_string(), "the hook before_pull ended with status 1: y");
    }

    #[test]
    fn lines_are_bounded_and_clean() {
        let mut lines = Lines::default();
        assert_eq!(lines.feed(b"one\n\ntwo\x1b[31m\r\nth"), ["one", "two [31m"]);
        assert_eq!(lines.feed(b"ree\n"), ["three"]);
        let long = vec![b'x'; 5000];
        assert_eq!(lines.feed(&long), Vec::<String>::new());
        assert_eq!(lines.feed(b"\n")[0].len(), LINE_BYTES_MAX);
        assert_eq!(lines.rest(), None);
    }
}
