//! SeaweedFS: master, volume server, filer and S3 in one process.

use std::path::Path;
use std::process::Stdio;

use anyhow::ensure;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::process::{Running, free_ports};

const ACCESS_KEY: &str = "benchkey";
const SECRET_KEY: &str = "benchsecret";

/// Starts it. `safe`: volumes are synced before an answer, and the filer keeps its metadata in SQLite, which syncs, in place of LevelDB,
/// which does not.
pub(super) async fn start(program: &Path, folder: TempDir, safe: bool) -> anyhow::Result<Running> {
    let path = folder.path().to_owned();
    let program = std::path::absolute(program)?;
    std::fs::create_dir(path.join("data"))?;
    let identities = serde_json::json!({ "identities": [{
        "name": "bench",
        "credentials": [{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]});
    std::fs::write(path.join("s3.json"), identities.to_string())?;
    if safe {
        std::fs::write(path.join("filer.toml"), "[sqlite]\nenabled = true\ndbFile = \"./filer.db\"\n")?;
    }
    let [master, volume, filer, s3, ..] = free_ports::<8>()?;
    let [.., master_grpc, volume_grpc, filer_grpc, s3_grpc] = free_ports::<8>()?;
    let mut command = Command::new(&program);
    command
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-dir=data", "-filer", "-s3", "-s3.config=s3.json"])
        .args(["-master.telemetry=false", "-volume.max=0", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"])
        .args([format!("-master.port={master}"), format!("-master.port.grpc={master_grpc}")])
        .args([format!("-volume.port={volume}"), format!("-volume.port.grpc={volume_grpc}")])
        .args([format!("-filer.port={filer}"), format!("-filer.port.grpc={filer_grpc}")])
        .args([format!("-s3.port={s3}"), format!("-s3.port.grpc={s3_grpc}")]);
    let mut running = Running::start(command, folder, s3, (ACCESS_KEY, SECRET_KEY)).await?;
    for port in [master, volume, filer] {
        running.wait_for_port(port).await?;
    }
    if safe {
        sync_volumes(&program, &running, (master, master_grpc), (filer, filer_grpc)).await?;
    }
    Ok(running)
}

/// Lets the filer ask for a sync of every write beneath the buckets.
async fn sync_volumes(program: &Path, running: &Running, master: (u16, u16), filer: (u16, u16)) -> anyhow::Result<()> {
    let address = |(port, grpc): (u16, u16)| format!("127.0.0.1:{port}.{grpc}");
    let mut shell = Command::new(program)
        .args(["shell", &format!("-master={}", address(master)), &format!("-filer={}", address(filer))])
        .current_dir(running.folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut input) = shell.stdin.take() {
        input.write_all(b"fs.configure -locationPrefix=/buckets/ -fsync=true -apply\nfs.configure\nexit\n").await?;
    }
    let output = shell.wait_with_output().await?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(text.contains("\"fsync\""), "fsync is not set: {text} {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
