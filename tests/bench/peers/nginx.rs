//! nginx as the limit: it gives and takes files, checks no signature, keeps no metadata and syncs nothing.

use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::process::{Running, free_ports};

/// Starts it with a worker for each processor.
pub(super) async fn start(program: &Path, folder: TempDir) -> anyhow::Result<Running> {
    let path = folder.path().to_owned();
    let [port] = free_ports()?;
    std::fs::create_dir_all(path.join("files/bench"))?;
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", path.display()))
        .concat();
    // As root its workers would otherwise be of a user that may not enter the folder.
    let user = if rustix::process::geteuid().is_root() { "user root;\n" } else { "" };
    let configuration = format!(
        "{user}daemon off;\nworker_processes auto;\npid {0}/pid;\nerror_log stderr;\nevents {{ worker_connections 1024; }}\nhttp {{\n\
         {temporary}    access_log off;\n    sendfile on;\n    tcp_nopush on;\n    keepalive_requests 1000000000;\n    client_max_body_size 0;\n\
         \x20   server {{\n        listen 127.0.0.1:{port};\n        root {0}/files;\n        \
         location / {{ dav_methods PUT DELETE; create_full_put_path on; }}\n    }}\n}}\n",
        path.display()
    );
    let file = path.join("nginx.conf");
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-c"]).arg(file);
    Running::start(command, folder, port, ("none", "none")).await
}
