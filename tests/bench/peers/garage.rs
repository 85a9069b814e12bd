//! Garage: one node that keeps one copy.

use std::path::Path;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Running, free_ports, output};

// Garage wants its own form of keys: GK and 24 hexadecimal digits, and 64 of them.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Starts it. `safe`: data and metadata are synced before an answer.
pub(super) async fn start(program: &Path, folder: TempDir, safe: bool) -> anyhow::Result<Running> {
    let program = std::path::absolute(program)?;
    let file = folder.path().join("garage.toml");
    let [s3, rpc] = free_ports()?;
    let configuration = format!(
        "metadata_dir = \"meta\"\ndata_dir = \"data\"\ndb_engine = \"lmdb\"\nreplication_factor = 1\n\
         metadata_fsync = {safe}\ndata_fsync = {safe}\n\
         rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{SECRET_KEY}\"\n\
         [s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{s3}\"\n"
    );
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(&program);
    command.arg("-c").arg(&file).arg("server");
    let running = Running::start(command, folder, s3, (ACCESS_KEY, SECRET_KEY)).await?;
    let ask = async |words: &[&str]| {
        output(Command::new(&program).arg("-c").arg(&file).args(words).current_dir(running.folder())).await
    };
    let id = ask(&["node", "id", "-q"]).await?;
    let node = id.trim().split('@').next().context("the node has no id")?.to_owned();
    ask(&["layout", "assign", "-z", "here", "-c", "100G", &node]).await?;
    ask(&["layout", "apply", "--version", "1"]).await?;
    ask(&["key", "import", "--yes", "-n", "bench", ACCESS_KEY, SECRET_KEY]).await?;
    ask(&["bucket", "create", "bench"]).await?;
    ask(&["bucket", "allow", "--read", "--write", "--owner", "bench", "--key", ACCESS_KEY]).await?;
    Ok(running)
}
