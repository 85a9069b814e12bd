//! The section `[staging]` of the configuration.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Least part of a multipart upload that is not the last, as S3 and CloudStack have it.
pub(crate) const PART_SIZE_BYTES_MIN: u64 = 5 << 20;
/// Largest part of a multipart upload.
const PART_SIZE_BYTES_MAX: u64 = 5 << 30;

/// The section `[staging]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The directory that an NFS server exports; `staging` beneath the data directory when `None`.
    pub dir: Option<PathBuf>,
    /// Least size of the parts that push uploads. Larger files get larger parts, so that there are at most 10,000.
    /// 5 MiB (CloudStack's own rule) gives pushed files the entity tags that CloudStack's uploads of them would have.
    pub part_size_bytes: u64,
    /// Whether staged files are on disk before they appear under their name. Off only where losing staged files in a power
    /// cut is acceptable; records are always on disk.
    pub sync: bool,
    /// Executables that run before and after each action.
    pub hooks: HookSettings,
}

/// Executables that run before and after each action: absolute paths, started without a shell and without arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HookSettings {
    /// Runs before a pull; a failure stops it.
    pub before_pull: Option<PathBuf>,
    /// Runs after a pull; a failure is a warning.
    pub after_pull: Option<PathBuf>,
    /// Runs before a push; a failure stops it.
    pub before_push: Option<PathBuf>,
    /// Runs after a push; a failure is a warning.
    pub after_push: Option<PathBuf>,
    /// Runs before a file is evicted; a failure keeps the file.
    pub before_evict: Option<PathBuf>,
    /// Runs after a file was evicted; a failure is a warning.
    pub after_evict: Option<PathBuf>,
    /// How long each may run before its whole process group is killed.
    pub time_limit_s: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { dir: None, part_size_bytes: PART_SIZE_BYTES_MIN, sync: true, hooks: HookSettings::default() }
    }
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            before_pull: None,
            after_pull: None,
            before_push: None,
            after_push: None,
            before_evict: None,
            after_evict: None,
            time_limit_s: 300,
        }
    }
}

impl Settings {
    /// Checks what can be checked without a store: sizes, and that every hook is an executable file.
    pub fn validate(&self) -> Result<()> {
        if !(PART_SIZE_BYTES_MIN..=PART_SIZE_BYTES_MAX).contains(&self.part_size_bytes) {
            return Err(Error::Settings("part_size_bytes must be between 5 MiB and 5 GiB".to_owned()));
        }
        if self.dir.as_ref().is_some_and(|dir| !dir.is_absolute()) {
            return Err(Error::Settings("dir must be an absolute path".to_owned()));
        }
        self.hooks.validate()
    }
}

impl HookSettings {
    /// The time limit.
    pub(crate) fn time_limit(&self) -> Duration {
        Duration::from_secs(self.time_limit_s)
    }

    fn validate(&self) -> Result<()> {
        if !(1..=24 * 60 * 60).contains(&self.time_limit_s) {
            return Err(Error::Settings("hooks.time_limit_s must be between 1 second and a day".to_owned()));
        }
        let hooks = [
            ("before_pull", &self.before_pull),
            ("after_pull", &self.after_pull),
            ("before_push", &self.before_push),
            ("after_push", &self.after_push),
            ("before_evict", &self.before_evict),
            ("after_evict", &self.after_evict),
        ];
        hooks.into_iter().filter_map(|(name, path)| Some((name, path.as_ref()?))).try_for_each(check_executable)
    }
}

fn check_executable((name, path): (&str, &PathBuf)) -> Result<()> {
    let refuse = |why: &str| Err(Error::Settings(format!("hooks.{name} = {path:?} {why}")));
    if !path.is_absolute() {
        return refuse("must be an absolute path");
    }
    match runnable(path) {
        Ok(true) => Ok(()),
        Ok(false) => refuse("is not an executable file"),
        Err(error) => refuse(&format!("cannot be read: {error}")),
    }
}

fn runnable(path: &Path) -> std::io::Result<bool> {
    let meta = std::fs::metadata(path)?;
    Ok(meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Settings::default().validate().unwrap();
    }

    #[test]
    fn unknown_fields_are_refused() {
        assert!(serde_json::from_str::<Settings>(r#"{"hooks":{"before_pul":"/bin/true"}}"#).is_err());
        let read: Settings = serde_json::from_str(r#"{"hooks":{"before_pull":"/bin/true"}}"#).unwrap();
        assert_eq!(read.hooks.before_pull.as_deref(), Some(Path::new("/bin/true")));
    }

    #[test]
    fn hooks_must_be_absolute_and_executable() {
        let with = |path: &str| Settings {
            hooks: HookSettings { after_push: Some(path.into()), ..HookSettings::default() },
            ..Settings::default()
        };
        with("/bin/true").validate().unwrap();
        for bad in ["true", "/nonexistent/hook", "/etc/passwd", "/tmp"] {
            let error = with(bad).validate().unwrap_err().to_string();
            assert!(error.contains("after_push"), "{error}");
        }
    }

    #[test]
    fn parts_have_limits() {
        for bad in [0, PART_SIZE_BYTES_MIN - 1, PART_SIZE_BYTES_MAX + 1] {
            assert!(Settings { part_size_bytes: bad, ..Settings::default() }.validate().is_err());
        }
    }
}
