//! A made-up CloudStack in a process of its own, so that its processor time is not taken for ours.

use std::process::Stdio;

use anyhow::Context as _;
use clap::Args;
use cloudstack_stand_in::{Cloud, Options, StandIn};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// How large the cloud is.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 1000)]
    pub(crate) domains: u32,
    #[arg(long, default_value_t = 10_000)]
    pub(crate) accounts: u32,
}

/// How to reach it: the one line that the process writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) url: String,
    pub(crate) api_key: String,
    pub(crate) secret_key: String,
}

/// Answers until the input ends: so it never outlives whoever started it. Each line of the input names an account to be made in the
/// newest domain, and is answered by a line with the account's uuid and its domain's.
///
/// # Errors
/// When no port can be had.
pub(crate) async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let cloud = Cloud::grown(arguments.domains, arguments.accounts).with_random_secrets();
    let stand_in = StandIn::start(cloud, Options::default()).await?;
    let (api_key, secret_key) = stand_in.control().admin_keys();
    println!("{}", serde_json::to_string(&Address { url: stand_in.base_url(), api_key, secret_key })?);
    let mut names = BufReader::new(tokio::io::stdin()).lines();
    while let Some(name) = names.next_line().await? {
        let control = stand_in.control();
        let domain_id = control.domain_ids().pop().context("the cloud has no domain")?;
        let account_id = control.create_account(&domain_id, &name)?;
        println!("{}", serde_json::to_string(&Account { domain_id, account_id })?);
    }
    stand_in.stop().await;
    Ok(())
}

/// An account that was made while the stand-in ran.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) domain_id: String,
    pub(crate) account_id: String,
}

/// A stand-in that runs beside this process.
pub(crate) struct Process {
    pub(crate) address: Address,
    pub(crate) pid: u32,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Process {
    pub(crate) async fn start(arguments: Arguments) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("stand-in")
            .args(["--domains", &arguments.domains.to_string(), "--accounts", &arguments.accounts.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().context("the stand-in ended at once")?;
        let input = child.stdin.take().context("the stand-in has no input")?;
        let output = child.stdout.take().context("the stand-in has no output")?;
        let mut output = BufReader::new(output).lines();
        let line = output.next_line().await?.context("the stand-in did not start")?;
        Ok(Self { address: serde_json::from_str(&line)?, pid, child, input, output })
    }

    /// Makes an account, with the events that CloudStack would write.
    ///
    /// # Errors
    /// When the stand-in is gone.
    pub(crate) async fn make_account(&mut self, name: &str) -> anyhow::Result<Account> {
        self.input.write_all(format!("{name}\n").as_bytes()).await?;
        self.input.flush().await?;
        let line = self.output.next_line().await?.context("the stand-in is gone")?;
        Ok(serde_json::from_str(&line)?)
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.input);
        self.child.wait().await?;
        Ok(())
    }
}
