//! `cloudhold credentials reset`: a new password where one was lost.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{Shared, output};
use crate::control::ResetRequest;
use crate::first_credentials::{CONSOLE_ADMIN, SERVICE_ACCOUNT, Which};

#[derive(Debug, Subcommand)]
pub(super) enum CredentialsCommand {
    /// Replace a password by a new random one, which is shown once
    Reset {
        /// Whose
        #[arg(value_enum)]
        whose: Whose,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Whose {
    /// The service account of the Admin API
    AdminApi,
    /// The first administrator of the console
    Console,
}

pub(super) async fn run(shared: &Shared, command: CredentialsCommand) -> anyhow::Result<u8> {
    let CredentialsCommand::Reset { whose } = command;
    let (which, user) = match whose {
        Whose::AdminApi => (Which::AdminApi, SERVICE_ACCOUNT),
        Whose::Console => (Which::Console, CONSOLE_ADMIN),
    };
    let answer: Value = shared.control()?.post("credentials/reset", &ResetRequest { which }).await?;
    let password = answer["password"].as_str().unwrap_or("-");
    if shared.json {
        output::json(&json!({ "user": user, "password": password }))?;
    } else {
        output::line(format!("{user}: {password}"))?;
    }
    Ok(0)
}
