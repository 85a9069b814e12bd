//! `cloudhold bucket ...`: what an administrator sets on buckets.

use clap::{Args, Subcommand};

use super::{Shared, output};
use crate::control::{QuotaReport, QuotaRequest};

#[derive(Debug, Subcommand)]
pub(super) enum BucketCommand {
    /// How much a bucket may hold
    #[command(subcommand)]
    Quota(QuotaCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum QuotaCommand {
    /// Show the quota of a bucket, and what the bucket holds
    Show {
        /// The bucket
        bucket: String,
    },
    /// Set the quota of a bucket, in the place of the one it has
    Set(SetArgs),
    /// Take the quota of a bucket away
    Clear {
        /// The bucket
        bucket: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The bucket
    bucket: String,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Limits {
    /// The most bytes of all versions and of parts of open uploads: a number, or one with K, M, G, T (of 1024)
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// The most object versions, without delete markers
    #[arg(long, value_name = "COUNT")]
    objects: Option<u64>,
}

pub(super) async fn run(shared: &Shared, command: BucketCommand) -> anyhow::Result<u8> {
    let BucketCommand::Quota(command) = command;
    let report: QuotaReport = match command {
        QuotaCommand::Show { bucket } => {
            let request = QuotaRequest { bucket, ..QuotaRequest::default() };
            shared.control()?.post("bucket/quota", &request).await?
        }
        QuotaCommand::Set(SetArgs { bucket, limits }) => {
            let request = QuotaRequest { bucket, size_bytes_max: limits.size, objects_max: limits.objects };
            shared.control()?.post("bucket/quota/set", &request).await?
        }
        QuotaCommand::Clear { bucket } => {
            let request = QuotaRequest { bucket, ..QuotaRequest::default() };
            shared.control()?.post("bucket/quota/set", &request).await?
        }
    };
    if shared.json {
        output::json(&report)?;
    } else {
        show(&report)?;
    }
    Ok(0)
}

fn show(report: &QuotaReport) -> anyhow::Result<()> {
    let of = |limit: Option<String>| limit.map_or_else(|| "no limit".to_owned(), |limit| format!("of {limit}"));
    let open = match report.upload_size_bytes {
        0 => String::new(),
        bytes => format!(", {} of it in open uploads", output::size(bytes)),
    };
    let size_bytes = report.size_bytes.saturating_add(report.upload_size_bytes);
    output::line(format!("{}  (owner {})", report.bucket, report.owner))?;
    output::line(format!(
        "  bytes    {} {}{open}",
        output::size(size_bytes),
        of(report.size_bytes_max.map(output::size))
    ))?;
    output::line(format!(
        "  objects  {} {}",
        report.object_count,
        of(report.objects_max.map(|count| count.to_string()))
    ))?;
    Ok(())
}

/// Reads a size: `500`, `10G`, `10GiB`.
fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "a size is a number, or one with K, M, G or T".to_owned())?;
    let factor: u64 = match unit.trim_end_matches("iB") {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        _ => return Err(format!("the unit {unit:?} is none of K, M, G and T")),
    };
    number.checked_mul(factor).ok_or_else(|| "the size is too large".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("500"), Ok(500));
        assert_eq!(parse_size("2K"), Ok(2048));
        assert_eq!(parse_size("10GiB"), Ok(10 << 30));
        for wrong in ["", "G", "10GB", "1.5G", "-1", "99999999999T"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }
}
