//! `cloudhold secondary-storage prepare`: makes what CloudStack needs, and prints the calls that tell CloudStack.

use clap::{Args, Subcommand, ValueEnum};

use super::output::{line, note, quoted};
use super::{Shared, output};
use crate::secondary_storage::{Prepare, Prepared};

#[derive(Debug, Subcommand)]
pub(super) enum SecondaryStorageCommand {
    /// Make the bucket and a user with its key, and print the calls that tell CloudStack about them
    Prepare(PrepareArgs),
}

#[derive(Debug, Args)]
pub(super) struct PrepareArgs {
    /// The bucket
    #[arg(long, default_value = "secondary")]
    bucket: String,
    /// The group, and the user in it
    #[arg(long, default_value = "cloudstack-secondary-storage")]
    group: String,
    /// Let CloudStack use TLS; its management servers, system VMs and hosts must trust the certificate then
    #[arg(long)]
    https: bool,
    /// The version of the signature that CloudStack is to use
    #[arg(long, value_enum, default_value_t = Signer::V4)]
    signer: Signer,
    /// The id of the zone (cs listZones)
    #[arg(long, default_value = "ZONE-ID")]
    zone: String,
    /// The export of the staging directory, as nfs://host/path
    #[arg(long, value_name = "URL")]
    nfs_url: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Signer {
    /// For XenServer hosts
    V2,
    /// For all others
    V4,
}

impl Signer {
    fn detail(self) -> &'static str {
        match self {
            Self::V2 => "S3SignerType",
            Self::V4 => "AWSS3V4SignerType",
        }
    }
}

pub(super) async fn run(shared: &Shared, command: SecondaryStorageCommand) -> anyhow::Result<u8> {
    match command {
        SecondaryStorageCommand::Prepare(args) => prepare(shared, args).await,
    }
}

async fn prepare(shared: &Shared, args: PrepareArgs) -> anyhow::Result<u8> {
    let request = Prepare { bucket: args.bucket, group: args.group, https: args.https };
    let made: Prepared = shared.control()?.post("secondary-storage/prepare", &request).await?;
    let image_store = image_store(&made, args.signer);
    let host = made.endpoint.rsplit_once(':').map_or(made.endpoint.as_str(), |(host, _)| host);
    let nfs_url = args.nfs_url.unwrap_or_else(|| format!("nfs://{host}{}", made.staging_dir.display()));
    let staging_store = staging_store(&nfs_url, &args.zone);
    if shared.json {
        let calls = serde_json::json!({
            "made": made,
            "addImageStore": image_store.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
            "createSecondaryStagingStore": staging_store.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        });
        output::json(&calls)?;
        return Ok(0);
    }
    note(format!("The bucket {} and the user {} in the group {} are there.", made.bucket, made.user, made.group))?;
    if made.is_loopback {
        note(format!(
            "WARNING: {} is reached from this machine only. Open the S3 door first (doors.s3.address, doors.names).",
            made.endpoint
        ))?;
    }
    note(format!("Export {} by NFS to the system VMs and hosts (rw,no_root_squash).\n", made.staging_dir.display()))?;
    line("# with cs, a client of CloudStack (package cs of PyPI)")?;
    line(format!("cs addImageStore {}", words(&image_store)))?;
    line(format!("cs createSecondaryStagingStore {}", words(&staging_store)))?;
    line("# with CloudMonkey")?;
    line(format!("cmk add imagestore {}", words(&image_store)))?;
    line(format!("cmk create secondarystagingstore {}", words(&staging_store)))?;
    Ok(0)
}

type Parameters = Vec<(String, String)>;

/// The parameters of `addImageStore`, the details spelled as CloudStack reads them.
fn image_store(made: &Prepared, signer: Signer) -> Parameters {
    let details = [
        ("accesskey", made.access_key.as_str()),
        ("secretkey", &made.secret_key),
        ("bucket", &made.bucket),
        ("endpoint", &made.endpoint),
        ("usehttps", if made.https { "true" } else { "false" }),
        ("s3signer", signer.detail()),
        ("usetcpkeepalive", "true"),
    ];
    let mut parameters = vec![("name".to_owned(), "cloudhold".to_owned()), ("provider".to_owned(), "S3".to_owned())];
    for (number, (key, value)) in details.into_iter().enumerate() {
        parameters.push((format!("details[{number}].key"), key.to_owned()));
        parameters.push((format!("details[{number}].value"), value.to_owned()));
    }
    parameters
}

/// The parameters of `createSecondaryStagingStore`.
fn staging_store(nfs_url: &str, zone: &str) -> Parameters {
    [("url", nfs_url), ("zoneid", zone), ("provider", "NFS"), ("scope", "ZONE")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn words(parameters: &Parameters) -> String {
    parameters.iter().map(|(key, value)| quoted(&format!("{key}={value}"))).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_spelled_as_cloudstack_reads_them() {
        let made = Prepared {
            bucket: "secondary".to_owned(),
            group: "g".to_owned(),
            user: "g".to_owned(),
            access_key: "AK".to_owned(),
            secret_key: "a+b/c=".to_owned(),
            endpoint: "s3.example.lan:9000".to_owned(),
            https: false,
            is_loopback: false,
            staging_dir: "/data/staging".into(),
        };
        let line = words(&image_store(&made, Signer::V2));
        assert!(
            line.starts_with("name=cloudhold provider=S3 'details[0].key=accesskey' 'details[0].value=AK'"),
            "{line}"
        );
        assert!(line.contains("'details[1].key=secretkey' 'details[1].value=a+b/c='"), "{line}");
        assert!(line.contains("'details[3].key=endpoint' 'details[3].value=s3.example.lan:9000'"), "{line}");
        assert!(line.contains("'details[4].key=usehttps' 'details[4].value=false'"), "{line}");
        assert!(line.contains("'details[5].key=s3signer' 'details[5].value=S3SignerType'"), "{line}");
        assert_eq!(words(&staging_store("nfs://h/e", "z-1")), "url=nfs://h/e zoneid=z-1 provider=NFS scope=ZONE");
    }
}
