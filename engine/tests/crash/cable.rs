//! What connects a store with PostgreSQL, and breaks where it is told to: before a request reaches the server, or when the server has done
//! it and its answer is on the way. To the server that is a client that died. Whether it is one, or just a connection that broke, is told
//! as well.
//!
//! A request is what the client ends with Sync, or a simple query: up to there the server answers, and after it the client waits.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
    disk: SimulatedDisk,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    requests: u64,
    /// The request at which it breaks.
    cut_at: Option<(u64, Moment)>,
    /// Only the connection of that request breaks, and the process lives on.
    lives_on: bool,
    is_cut: bool,
    ends: Vec<UnixStream>,
}

impl Cable {
    /// Lays a cable to the server of a database, whose URL names the folder of its socket.
    pub(crate) fn lay(url: &str, disk: SimulatedDisk) -> Self {
        let (_, server) = url.split_once("?host=").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = Path::new(server).join(SOCKET);
        let cable = Self { shared: Arc::new(Shared { folder, server, disk, state: Mutex::default() }) };
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
    pub(crate) fn url(&self, database_url: &str) -> String {
        let (server, _) = database_url.split_once("?host=").unwrap();
        format!("{server}?host={}&sslmode=disable", self.shared.folder.path().display())
    }

    /// Breaks at a request: the next is number 1.
    pub(crate) fn cut_in(&self, requests: u64, moment: Moment) {
        let mut state = self.shared.lock();
        state.cut_at = Some((state.requests + requests, moment));
    }

    /// Breaks one connection at a request.
    pub(crate) fn break_connection_in(&self, requests: u64, moment: Moment) {
        self.cut_in(requests, moment);
        self.shared.lock().lives_on = true;
    }

    /// Breaks no more where it was told to.
    pub(crate) fn mend(&self) {
        self.shared.lock().cut_at = None;
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// Whether it broke, or the disk died; then the other does as well.
    pub(crate) fn is_cut(&self) -> bool {
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
        // Whether the answer to a request is to be the last thing that happens.
        let is_last = Arc::new(Mutex::new(false));
        let (to_server, from_server) = (self.shared.clone(), self.shared.clone());
        let (client_again, server_again) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let asked = is_last.clone();
        std::thread::spawn(move || to_server.pass_requests(client, server, &asked));
        std::thread::spawn(move || from_server.pass_answers(server_again, client_again, &is_last));
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

    /// What was asked for happens at a connection.
    fn end(&self, client: &UnixStream, server: &UnixStream) {
        if !self.lock().lives_on {
            return self.cut();
        }
        for end in [client, server] {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn pass_requests(&self, mut client: UnixStream, mut server: UnixStream, is_last: &Mutex<bool>) {
        let (mut is_first, mut request) = (true, Vec::new());
        while let Ok((kind, message)) = read_message(&mut client, is_first) {
            is_first = false;
            request.extend(message);
            // The server begins with what it has: a request comes to it whole or not at all.
            if ![STARTUP, SYNC, QUERY].contains(&kind) {
                continue;
            }
            if kind != STARTUP {
                match self.count_request() {
                    Some(Moment::Before) => return self.end(&client, &server),
                    Some(Moment::After) => *is_last.lock().unwrap() = true,
                    None => {}
                }
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

    /// Counts a request; when it is the one, answers what happens at it.
    fn count_request(&self) -> Option<Moment> {
        let mut state = self.lock();
        state.requests += 1;
        let (request, moment) = state.cut_at?;
        (request == state.requests).then_some(moment)
    }

    fn pass_answers(&self, mut server: UnixStream, mut client: UnixStream, is_last: &Mutex<bool>) {
        while let Ok((kind, message)) = read_message(&mut server, false) {
            if *is_last.lock().unwrap() {
                if kind == READY {
                    return self.end(&client, &server);
                }
            } else if client.write_all(&message).is_err() {
                break;
            }
        }
        let _ = client.shutdown(Shutdown::Both);
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
