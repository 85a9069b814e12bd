//! The binary `cloudhold`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use server::commands::{Cli, is_broken_pipe, run};
use tikv_jemallocator::Jemalloc;

/// A request takes and gives back memory some hundred times, on one thread and on another, which costs the system's allocator a fifth of its
/// time.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => ExitCode::from(code),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // When stderr is closed, nobody is left to tell.
            let _ = writeln!(std::io::stderr(), "cloudhold: {error:#}");
            ExitCode::FAILURE
        }
    }
}
