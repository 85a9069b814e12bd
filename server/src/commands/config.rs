//! `cloudhold config show`: what was set, and where.

use clap::Subcommand;
use serde_json::json;

use super::{Shared, output};
use crate::config::settings_given;

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show what file and environment set, without secrets; everything else has its default
    Show,
}

pub(super) fn run(shared: &Shared, command: &ConfigCommand) -> anyhow::Result<u8> {
    match command {
        ConfigCommand::Show => show(shared),
    }
}

fn show(shared: &Shared) -> anyhow::Result<u8> {
    shared.load()?;
    let settings = settings_given(&shared.overrides())?;
    if shared.json {
        let all: Vec<_> = settings
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "source": setting.source }))
            .collect();
        output::json(&all)?;
        return Ok(0);
    }
    if settings.is_empty() {
        output::line("Nothing is set: all settings have their defaults (docs/how-to/configuration.md lists them).")?;
    }
    for setting in settings {
        output::line(format!("{} = {}    # {}", setting.key, setting.value, setting.source))?;
    }
    Ok(0)
}
