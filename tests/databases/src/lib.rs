//! Databases for tests: a PostgreSQL server of this process's own, made at the first use and gone with the process.
//!
//! A keeper, a shell that waits for the end of its standard input, stops the server: the pipe ends with this process however that ends,
//! so no server outlives its tests.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Names the kind of database that tests which run on both are to use: `postgres`, or SQLite when it is not set.
pub const VARIABLE: &str = "TEST_DATABASE";

/// How long a database that is to be copied may be used by others.
const PATIENCE: Duration = Duration::from_secs(30);

/// The URL of a new database when [`VARIABLE`] asks for PostgreSQL.
pub fn asked_for() -> Option<String> {
    is_asked_for().then(new_postgres)
}

/// The same on a server that has no other database, for a test that sees what the whole server does.
pub fn asked_for_on_its_own_server() -> Option<String> {
    // The server runs until the end of this process, as the shared one does.
    is_asked_for().then(|| Box::leak(Box::new(Server::start())).new_database())
}

/// Whether [`VARIABLE`] asks for PostgreSQL.
pub fn is_asked_for() -> bool {
    match std::env::var(VARIABLE).as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("{VARIABLE} is {other}: it may be postgres or sqlite"),
    }
}

/// The URL of a new, empty database on this process's server.
pub fn new_postgres() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start).new_database()
}

/// The URL of a new database on the server of another one, with all that it holds. Nobody may be connected to that.
pub fn copy_of_postgres(url: &str) -> String {
    let (url, folder) = url.split_once("?host=").expect("the folder of a socket");
    let (server, template) = url.rsplit_once('/').expect("a database");
    let name = create_database(&programs(), Path::new(folder), Some(template));
    format!("{server}/{name}?host={folder}")
}

/// Runs SQL in a database of this process's server and returns what it prints, unaligned and without headings.
pub fn run_sql(url: &str, sql: &str) -> String {
    client(&["-q", "-t", "-A", "-c", sql, url])
}

/// What makes some of a database's transactions conflict. Which they are is told by their numbers, so that one which is run again is another.
const CONFLICTS: &str = "
    CREATE SEQUENCE injected;
    CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF MOD(CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), 20) = CAST(TG_ARGV[0] AS BIGINT) THEN
            PERFORM nextval('injected');
            RAISE EXCEPTION 'injected' USING ERRCODE = '40001';
        END IF;
        RETURN NULL;
    END $$;
    DO $$
    DECLARE
        one RECORD;
    BEGIN
        FOR one IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
            EXECUTE format('CREATE TRIGGER conflict_at_once AFTER INSERT OR UPDATE OR DELETE ON %I
                            FOR EACH STATEMENT EXECUTE FUNCTION conflict(7)', one.tablename);
            EXECUTE format('CREATE CONSTRAINT TRIGGER conflict_at_commit AFTER INSERT OR UPDATE OR DELETE ON %I
                            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION conflict(13)', one.tablename);
        END LOOP;
    END $$";

/// Lets one of ten transactions that write fail as those do that conflict (40001), whatever table it writes: at its first statement, or in
/// its COMMIT.
pub fn inject_conflicts(url: &str) {
    run_sql(url, CONFLICTS);
}

/// How many did so far: a sequence goes on when its transaction is undone.
pub fn injected_conflicts(url: &str) -> u64 {
    let count = run_sql(url, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM injected");
    count.parse().expect("a number")
}

/// Runs a statement in a database of this process's server and returns how many rows it changed.
pub fn change_rows(url: &str, sql: &str) -> u64 {
    let tag = client(&["-c", sql, url]);
    let count = tag.rsplit(' ').next().and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("no statement that changes rows: {tag}"))
}

fn client(arguments: &[&str]) -> String {
    let mut client = Command::new(programs().join("psql"));
    client.args(["--no-psqlrc", "-v", "ON_ERROR_STOP=1"]).args(arguments);
    let output = client.stdin(Stdio::null()).output().expect("psql");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A running server, reached by a socket in its folder.
#[derive(Debug)]
struct Server {
    folder: PathBuf,
    programs: PathBuf,
    /// Holds the pipe whose end stops the server.
    _keeper: Child,
}

/// What the keeper does: makes and starts the server, says so, waits, and takes everything away. Nothing is synced, for these data are
/// not kept: that commits are durable is PostgreSQL's to prove.
const KEEPER: &str = r#"
set -eu
folder=$1; programs=$2
trap '"$programs/pg_ctl" -D "$folder/data" -m immediate stop > /dev/null 2>&1 || true; rm -rf "$folder"' EXIT
"$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C -N > "$folder/initdb.log" 2>&1 < /dev/null
"$programs/pg_ctl" -D "$folder/data" -l "$folder/server.log" -w -t 60 -o "-k $folder -c listen_addresses= -c fsync=off \
  -c synchronous_commit=off -c full_page_writes=off -c max_connections=400 -c shared_buffers=64MB -c autovacuum=off -c max_pred_locks_per_transaction=256" \
  start > "$folder/start.log" 2>&1 < /dev/null
echo ready
cat > /dev/null
"#;

impl Server {
    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("cloudhold-postgres-").tempdir().expect("a folder").keep();
        let mut keeper = keeper(&folder);
        keeper.arg(&folder).arg(&programs);
        keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        let mut keeper = keeper.spawn().expect("a shell");
        let mut line = String::new();
        let output = keeper.stdout.take().expect("the keeper's output");
        BufReader::new(output).read_line(&mut line).expect("a line of the keeper");
        assert_eq!(line, "ready\n", "PostgreSQL did not start; its programs are in {}", programs.display());
        Self { folder, programs, _keeper: keeper }
    }

    fn new_database(&self) -> String {
        let name = create_database(&self.programs, &self.folder, None);
        format!("postgres://postgres@localhost/{name}?host={}", self.folder.display())
    }
}

/// Makes a database that has what another one has, an empty one without that, and returns its name.
fn create_database(programs: &Path, folder: &Path, template: Option<&str>) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut create = Command::new(programs.join("createdb"));
    create.arg("-h").arg(folder).args(["-U", "postgres", "--strategy=file_copy"]);
    if let Some(template) = template {
        create.args(["-T", template]);
    }
    create.arg(&name).stdin(Stdio::null());
    let begun = Instant::now();
    loop {
        let output = create.output().expect("createdb");
        if output.status.success() {
            return name;
        }
        let error = String::from_utf8_lossy(&output.stderr);
        // The server may not have noticed yet that whoever was connected is gone.
        assert!(error.contains("is being accessed by other users") && begun.elapsed() < PATIENCE, "{error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The server refuses to run as root, so that root runs it as the user that its package brings.
fn keeper(folder: &Path) -> Command {
    let is_root = fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !is_root {
        let mut shell = Command::new("sh");
        shell.args(["-c", KEEPER, "keeper"]);
        return shell;
    }
    let owned = Command::new("chown").arg("postgres").arg(folder).status();
    assert!(owned.is_ok_and(|status| status.success()), "the user postgres is missing: install postgresql");
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh", "-c", KEEPER, "keeper"]);
    shell
}

/// Where the newest server's programs are: Debian keeps them out of the path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL, of Debian's package postgresql");
    let newest = versions.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok()).max();
    PathBuf::from("/usr/lib/postgresql").join(newest.expect("a version of PostgreSQL").to_string()).join("bin")
}
