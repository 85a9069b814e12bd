//! What connects a store with PostgreSQL, and breaks when the process dies: each request is one of the steps at which it may, before it
//! reaches the server, or when the server has done it and its answer is on the way. To the server that is a client that died. One
//! connection may break as well, of a process that lives on.
//!
//! A request is what the client ends with Sync, or a simple query: up to there the server answers, and after it the client waits.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use simulated_disk::{Moment, SimulatedDisk};
use tempfile::TempDir;

/// The name of the socket, as clients build it of the default port.
const SOCKET: &str = ".s.PGSQL.5432";
/// The first message of a connection has no type byte.
const STARTUP: u8 = 0;
const SYNC: u8 = b'S';
const QUERY: u8 = b'Q';
const READY: u8 = b'Z';

/// A cable, and the disk of the process at its end: when one dies, so does the other.
#[derive(Clone)]
pub(crate) struct Cable {
    shared: Arc<Shared>,
}

struct Shared {
    folder: TempDir,
    server: PathBuf,
    /// The URL of the database, without the folder of the socket.
    database: String,
    disk: SimulatedDisk,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: u64,
    /// The request at which its connection breaks.
    break_at: Option<(u64, Moment)>,
    is_cut: bool,
    ends: Vec<UnixStream>,
}

/// How a connection ends at a request.
#[derive(Clone, Copy)]
struct End {
    moment: Moment,
    /// Only this connection breaks.
    lives_on: bool,
}

impl Cable {
    /// Lays a cable to the server of a database, whose URL names the folder of its socket.
    pub(crate) fn lay(url: &str, disk: SimulatedDisk) -> Self {
        let (database, server) = url.split_once("?host=").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = Path::new(server).join(SOCKET);
        let shared = Shared { folder, server, database: database.to_owned(), disk, state: Mutex::default() };
        let cable = Self { shared: Arc::new(shared) };
        let accepting = Arc::downgrade(&cable.shared);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Some(shared) = accepting.upgrade() else { return };
                Self { shared }.connect(client.unwrap());
            }
        });
        cable
    }

    /// The database at the other end.
    pub(crate) fn url(&self) -> String {
        format!("{}?host={}&sslmode=disable", self.shared.database, self.shared.folder.path().display())
    }

    /// Breaks one connection at a request: the next is number 1.
    pub(crate) fn break_connection_in(&self, requests: u64, moment: Moment) {
        let mut state = self.shared.lock();
        state.break_at = Some((state.requests + requests, moment));
    }

    /// Breaks no more where it was told to.
    pub(crate) fn mend(&self) {
        self.shared.lock().break_at = None;
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// Does some work, unless the process dies meanwhile: nothing that it does arrives any more then.
    pub(crate) async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let cut = async {
            while !self.is_cut() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let done = tokio::select! {
            biased;
            done = work => Some(done),
            () = cut => None,
        };
        // What ended because the disk died, was not waited for to be cut.
        self.is_cut();
        done
    }

    /// Whether the process died: then nothing passes any more.
    fn is_cut(&self) -> bool {
        if self.shared.disk.is_dead() {
            self.shared.cut();
        }
        self.shared.lock().is_cut
    }

    fn connect(&self, client: UnixStream) {
        let Ok(server) = UnixStream::connect(&self.shared.server) else { return };
        let ends = [client.try_clone().unwrap(), server.try_clone().unwrap()];
        {
            let mut state = self.shared.lock();
            if state.is_cut {
                return;
            }
            state.ends.extend(ends);
        }
        // How it ends with the answer to a request.
        let last = Arc::new(Mutex::new(None));
        let (to_server, from_server) = (self.shared.clone(), self.shared.clone());
        let (client_again, server_again) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asked = last.clone();
        std::thread::spawn(move || to_server.pass_requests(client, server, &asked));
        std::thread::spawn(move || from_server.pass_answers(server_again, client_again, &last));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Whoever accepts connections learns that there is nobody to accept them for.
        let _ = UnixStream::connect(self.folder.path().join(SOCKET));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cut(&self) {
        self.disk.crash_now();
        let mut state = self.lock();
        state.is_cut = true;
        for end in state.ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn end(&self, end: End, client: &UnixStream, server: &UnixStream) {
        if !end.lives_on {
            return self.cut();
        }
        for end in [client, server] {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn pass_requests(&self, mut client: UnixStream, mut server: UnixStream, last: &Mutex<Option<End>>) {
        let (mut is_first, mut request) = (true, Vec::new());
        while let Ok((kind, message)) = read_message(&mut client, is_first) {
            is_first = false;
            let name = name_of(kind, &message);
            request.extend(message);
            // The server begins with what it has: a request comes to it whole or not at all.
            if ![STARTUP, SYNC, QUERY].contains(&kind) {
                continue;
            }
            // How many connections there are is not the same each time, so that they are no steps.
            let end = if kind == STARTUP { None } else { self.count_request(&name) };
            match end {
                Some(end) if end.moment == Moment::Before => return self.end(end, &client, &server),
                end => *last.lock().unwrap() = end,
            }
            if self.disk.is_dead() {
                return self.cut();
            }
            if server.write_all(&std::mem::take(&mut request)).is_err() {
                break;
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }

    /// Counts a request; answers how the connection ends at it, if it does.
    fn count_request(&self, name: &str) -> Option<End> {
        {
            let mut state = self.lock();
            state.requests += 1;
            if let Some((_, moment)) = state.break_at.filter(|(request, _)| *request == state.requests) {
                return Some(End { moment, lives_on: true });
            }
        }
        self.disk.step_elsewhere(name).map(|moment| End { moment, lives_on: false })
    }

    fn pass_answers(&self, mut server: UnixStream, mut client: UnixStream, last: &Mutex<Option<End>>) {
        while let Ok((kind, message)) = read_message(&mut server, false) {
            let end = *last.lock().unwrap();
            match end {
                Some(end) if kind == READY => return self.end(end, &client, &server),
                Some(_) => {}
                None if client.write_all(&message).is_err() => break,
                None => {}
            }
        }
        let _ = client.shutdown(Shutdown::Both);
    }
}

/// What a request is called among the steps: by its statement where that is all of it.
fn name_of(kind: u8, message: &[u8]) -> String {
    match kind {
        QUERY => format!("request {}", String::from_utf8_lossy(&message[5..message.len() - 1])),
        _ => "request".to_owned(),
    }
}

/// A message with its type and length.
fn read_message(from: &mut UnixStream, is_first: bool) -> std::io::Result<(u8, Vec<u8>)> {
    let mut message = vec![0; if is_first { 4 } else { 5 }];
    from.read_exact(&mut message)?;
    let kind = if is_first { STARTUP } else { message[0] };
    let length = u32::from_be_bytes(message[message.len() - 4..].try_into().unwrap());
    let head = message.len();
    message.resize(head + length as usize - 4, 0);
    from.read_exact(&mut message[head..])?;
    Ok((kind, message))
}
