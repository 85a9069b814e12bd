//! The commands of the binary: `serve` and `demo` run a store, all others speak to one that runs.

mod backup;
mod bucket;
mod config;
mod connector;
mod credentials;
mod demo;
mod fsck;
mod migrate_metadata;
mod output;
mod progress;
mod rebuild_index;
mod restore;
mod scrub;
mod secondary_storage;
mod serve;
mod staging;
mod status;
mod store;
mod trash;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Overrides, load};
use crate::control::ControlClient;

pub use output::is_broken_pipe;

/// Object storage for private clouds, in step with CloudStack's tenants.
#[derive(Debug, Parser)]
#[command(name = "cloudhold", version, propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
struct Shared {
    /// The data directory [default: ./data, for the demo ./demo-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The configuration file [default: ./cloudhold.toml or cloudhold.toml in the data directory, when there is one]
    #[arg(long, global = true, env = "CLOUDHOLD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a store
    Serve(DoorArgs),
    /// Run a store in a directory of its own beside a made-up CloudStack, to look around
    Demo(DoorArgs),
    /// The connector to CloudStack
    #[command(subcommand)]
    Connector(connector::ConnectorCommand),
    /// Files between buckets and the staging directory of CloudStack's secondary storage
    #[command(subcommand)]
    Staging(staging::StagingCommand),
    /// What an administrator sets on buckets
    #[command(subcommand)]
    Bucket(bucket::BucketCommand),
    /// Deleted users whose data is still there
    #[command(subcommand)]
    Trash(trash::TrashCommand),
    /// Passwords that were lost
    #[command(subcommand)]
    Credentials(credentials::CredentialsCommand),
    /// CloudStack's secondary storage
    #[command(subcommand)]
    SecondaryStorage(secondary_storage::SecondaryStorageCommand),
    /// Check that everything in the store agrees: rows, bytes, counters
    Fsck(fsck::FsckArgs),
    /// Read everything that is stored and compare it with its checksums
    Scrub(scrub::ScrubArgs),
    /// Back the store up into a directory of back-ups
    Backup(backup::BackupArgs),
    /// Restore a back-up into an empty data directory, and an empty PostgreSQL database where that has the metadata
    Restore(restore::RestoreArgs),
    /// Bring back the database of a stopped store from its last snapshot and the blobs
    RebuildIndex(rebuild_index::RebuildArgs),
    /// Move the metadata from SQLite into the PostgreSQL database that the configuration names; the store must not run
    MigrateMetadata,
    /// How the running store is doing
    #[command(alias = "health")]
    Status,
    /// The configuration
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// The version of this program
    Version,
}

/// What `serve` and `demo` take.
#[derive(Debug, Args)]
struct DoorArgs {
    /// Where the doors listen
    #[arg(long, value_enum)]
    ports: Option<Ports>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ports {
    /// Every door on any free port of the loopback interface
    Auto,
    /// Every door where the configuration says
    Usual,
}

impl Shared {
    fn overrides(&self) -> Overrides {
        Overrides { file: self.config.clone(), data_dir: self.data_dir.clone(), ports_auto: false }
    }

    fn load(&self) -> anyhow::Result<Config> {
        load(&self.overrides())
    }

    /// The way to the running store. Its data directory may be named by the configuration.
    fn control(&self) -> anyhow::Result<ControlClient> {
        let dir = match &self.data_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => self.load()?.data.dir,
        };
        Ok(ControlClient::new(&dir))
    }
}

/// Does what the command line asks for. Returns the exit code.
///
/// # Errors
/// Says why it could not be done.
pub async fn run(cli: Cli) -> anyhow::Result<u8> {
    let Cli { shared, command } = cli;
    match command {
        Command::Serve(doors) => serve::run(&shared, &doors).await,
        Command::Demo(doors) => demo::run(&shared, &doors).await,
        Command::Connector(command) => connector::run(&shared, command).await,
        Command::Staging(command) => staging::run(&shared, command).await,
        Command::Bucket(command) => bucket::run(&shared, command).await,
        Command::Trash(command) => trash::run(&shared, command).await,
        Command::Credentials(command) => credentials::run(&shared, command).await,
        Command::SecondaryStorage(command) => secondary_storage::run(&shared, command).await,
        Command::Fsck(args) => fsck::run(&shared, &args).await,
        Command::Scrub(args) => scrub::run(&shared, &args).await,
        Command::Backup(args) => backup::run(&shared, args).await,
        Command::Restore(args) => restore::run(&shared, &args).await,
        Command::RebuildIndex(args) => rebuild_index::run(&shared, args).await,
        Command::MigrateMetadata => migrate_metadata::run(&shared).await,
        Command::Status => status::run(&shared).await,
        Command::Config(command) => config::run(&shared, &command),
        Command::Version => {
            output::line(concat!("cloudhold ", env!("CARGO_PKG_VERSION")))?;
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_a_data_directory() {
        for words in [
            &["serve", "--ports", "auto"][..],
            &["demo"],
            &["connector", "plan"],
            &["connector", "sync", "--confirm"],
            &["connector", "status"],
            &["connector", "check"],
            &["staging", "pull", "secondary", "template/tmpl/1/200/u/f.qcow2"],
            &["staging", "push", "template/tmpl/1/200/f.qcow2"],
            &["staging", "list"],
            &["staging", "evict", "--all"],
            &["bucket", "quota", "show", "photos"],
            &["bucket", "quota", "set", "photos", "--size", "10G", "--objects", "1000"],
            &["bucket", "quota", "clear", "photos"],
            &["trash", "list"],
            &["trash", "restore", "0123"],
            &["trash", "purge", "0123", "--yes"],
            &["credentials", "reset", "admin-api"],
            &["secondary-storage", "prepare"],
            &["fsck", "--repair"],
            &["scrub", "--rate", "1000000"],
            &["backup", "/backups", "--verify"],
            &["backup", "list", "/backups"],
            &["backup", "verify", "/backups"],
            &["backup", "prune", "/backups", "--keep", "7"],
            &["restore", "/backups", "--key-file", "/keys.json"],
            &["rebuild-index", "--force"],
            &["status"],
            &["health"],
            &["config", "show"],
            &["version"],
        ] {
            let line = ["cloudhold"].iter().chain(words).copied().chain(["--data-dir", "/tmp/x"]);
            let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert_eq!(cli.shared.data_dir.as_deref(), Some(std::path::Path::new("/tmp/x")));
        }
    }
}
