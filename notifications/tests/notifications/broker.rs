//! A broker of AMQP for a test: RabbitMQ of Debian's package, in a folder of its own, gone with the test's process.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// A running broker.
pub(crate) struct Broker {
    pub(crate) url: String,
    _folder: tempfile::TempDir,
    keeper: Child,
}

/// What the keeper does: starts the broker and the registry of names that it needs, says when it is there, waits, and ends both.
const KEEPER: &str = r#"
set -eu
folder=$1; port=$2; distribution=$3; names=$4
export HOME=$folder ERL_EPMD_PORT=$names ERL_EPMD_ADDRESS=127.0.0.1 RABBITMQ_NODENAME=cloudhold-$port@localhost
export RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$port RABBITMQ_DIST_PORT=$distribution
export RABBITMQ_MNESIA_BASE=$folder/data RABBITMQ_LOG_BASE=$folder/log RABBITMQ_PID_FILE=$folder/pid
export RABBITMQ_ENABLED_PLUGINS_FILE=$folder/plugins RABBITMQ_CONFIG_FILE=$folder/none RABBITMQ_CONF_ENV_FILE=$folder/no-variables
echo '[].' > "$folder/plugins"
mkdir "$folder/log"
epmd -port "$names" -address 127.0.0.1 > /dev/null 2>&1 &
registry=$!
/usr/lib/rabbitmq/bin/rabbitmq-server > "$folder/out" 2>&1 < /dev/null &
broker=$!
trap 'kill "$broker" "$registry" 2> /dev/null || true; wait' EXIT
until grep -q 'Starting broker.*completed' "$folder/out"; do
    kill -0 "$broker"
    sleep 0.1
done
echo ready
cat > /dev/null
"#;

impl Broker {
    pub(crate) fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("cloudhold-rabbitmq-").tempdir().unwrap();
        let [port, distribution, names] = free_ports();
        let mut keeper = Command::new("sh");
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .args([port, distribution, names].map(|p| p.to_string()));
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        let mut keeper = keeper.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said = std::fs::read_to_string(folder.path().join("out")).unwrap_or_default();
        assert_eq!(line, "ready\n", "RabbitMQ, of Debian's package rabbitmq-server, did not start: {said}");
        Self { url: format!("amqp://guest:guest@127.0.0.1:{port}/%2f"), _folder: folder, keeper }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // The end of its input ends the keeper, and with it what it started.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Ports that nobody has at the moment; they are held together, so that they are different ones.
fn free_ports() -> [u16; 3] {
    let held: [TcpListener; 3] = std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
