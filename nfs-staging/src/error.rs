//! The one error of the staging store.

use std::io;

/// A result of the staging store.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the staging store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key or path lies outside the layout of CloudStack's secondary storage.
    #[error("{name:?} is outside the layout of secondary storage: {why}")]
    Layout {
        /// The key or path as it was given.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The settings cannot be used.
    #[error("the staging settings cannot be used: {0}")]
    Settings(String),
    /// There is no such staged file.
    #[error("{path:?} is not staged")]
    NotStaged {
        /// The path beneath the staging directory.
        path: String,
    },
    /// Pull would replace a file with other content.
    #[error("{path:?} is staged already with other content; say overwrite to replace it")]
    FileExists {
        /// The path beneath the staging directory.
        path: String,
    },
    /// Push would replace an object that is not the one the file was last known to equal.
    #[error("{bucket}/{key} holds other content than the staged file came from; say overwrite to replace it")]
    ObjectExists {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// The object was replaced while it was read or written.
    #[error("{bucket}/{key} changed meanwhile; try again")]
    ObjectChanged {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// The staged file changed while it was read.
    #[error("{path:?} changed while it was read; nothing was stored")]
    FileChanged {
        /// The path beneath the staging directory.
        path: String,
    },
    /// What arrived is not what was announced.
    #[error("the {what} of {path:?} is not that of the object")]
    NotEqual {
        /// The path beneath the staging directory.
        path: String,
        /// What differs.
        what: &'static str,
    },
    /// A component of the path is a symbolic link or not a directory. Clients of the export can plant these, so nothing follows them.
    #[error("{path:?} passes through a symbolic link or something that is no directory")]
    NotBeneath {
        /// The path beneath the staging directory.
        path: String,
    },
    /// The path names a directory, link, device or pipe.
    #[error("{path:?} is not a plain file")]
    NotAFile {
        /// The path beneath the staging directory.
        path: String,
    },
    /// Another action works on the same path.
    #[error("another staging action works on {path:?}")]
    Busy {
        /// The path beneath the staging directory.
        path: String,
    },
    /// The disk of the staging directory has too little room.
    #[error("the staging directory has {free_bytes} bytes free where {needed_bytes} are needed")]
    NoSpace {
        /// What is still to be written.
        needed_bytes: u64,
        /// What is free.
        free_bytes: u64,
    },
    /// Push was not told where to, and nothing on record says it.
    #[error("where {path:?} belongs is not on record: name the {what}")]
    TargetUnknown {
        /// The path beneath the staging directory.
        path: String,
        /// `bucket` or `key`.
        what: &'static str,
    },
    /// A hook refused or failed.
    #[error("the hook {hook} {why}")]
    Hook {
        /// The hook's name in the settings.
        hook: &'static str,
        /// What it did, as the end of a sentence.
        why: String,
    },
    /// A record of the staging store cannot be used.
    #[error("the staging record {file} cannot be used: {why}")]
    Record {
        /// The record's file.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// The engine refused.
    #[error("the store refused {bucket}/{key}")]
    Object {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
        /// What the engine said.
        source: engine::Error,
    },
    /// The file system failed.
    #[error("{doing} {path:?} failed")]
    File {
        /// What was being done.
        doing: &'static str,
        /// The path.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A failure that has no name of its own, such as a worker thread that stopped.
    #[error("internal failure: {0}")]
    Internal(&'static str),
}

impl Error {
    /// An error of the file system while `doing` something to `path`.
    pub(crate) fn file(doing: &'static str, path: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::File { doing, path: path.into(), source: source.into() }
    }
}
