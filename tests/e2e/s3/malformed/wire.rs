//! Writes bytes to the server as they are and reads whatever comes back, both at once and within a limit.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a whole exchange may take. The server's own limits are a few seconds; the machine may be busy with other tests.
const LIMIT: Duration = Duration::from_secs(60);
/// How long an answer is waited for before the client says that it has sent everything.
const PATIENCE: Duration = Duration::from_millis(800);

/// A step of sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Send(Vec<u8>),
    Pause(Duration),
}

/// What the client does after it sent everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Reads until as many answers came as requests went, and says after a while that nothing more will be sent.
    Asks,
    /// Reads until the server ends the connection.
    Waits,
    /// Goes away.
    Leaves,
}

/// An answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: Vec<u8>,
    pub(super) body: Vec<u8>,
}

/// What came back: whole answers, and the bytes of one that was not whole when the connection ended.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) answers: Vec<Answer>,
    pub(super) rest: Vec<u8>,
}

/// Sends the steps and hears the answers to requests of which each is a HEAD or not. `Err` when the limit passes.
pub(super) async fn exchange(
    addr: SocketAddr,
    steps: &[Step],
    ending: Ending,
    heads: &[bool],
) -> Result<Heard, String> {
    let end = Instant::now() + LIMIT;
    let hang = |what: &str| format!("{what} within {} s", LIMIT.as_secs());
    let connected = timeout_at(end, TcpStream::connect(addr)).await.map_err(|_| hang("no connection"))?;
    let stream = connected.map_err(|error| format!("no connection: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let (mut read, mut write) = stream.into_split();
    let mut incoming = Incoming { bytes: Vec::new(), heads: heads.to_vec(), is_ended: false };
    let sending = send(&mut write, steps);
    if ending == Ending::Leaves {
        return timeout_at(end, sending).await.map(|()| Heard::default()).map_err(|_| hang("not everything was taken"));
    }
    let mut heard = Heard::default();
    let is_over = {
        // A server that refuses may answer, and stop to read, before everything was sent.
        let hearing = hear(&mut read, &mut incoming, &mut heard, heads.len(), ending);
        tokio::pin!(hearing);
        let sent = async {
            sending.await;
            sleep(PATIENCE).await;
        };
        tokio::select! {
            () = &mut hearing => true,
            () = sent => {
                if ending == Ending::Waits {
                    timeout_at(end, hearing).await.map_err(|_| hang("neither an answer nor an end"))?;
                }
                ending == Ending::Waits
            }
            () = sleep(LIMIT) => return Err(hang("not everything was taken")),
        }
    };
    if !is_over {
        let _ = write.shutdown().await;
        let hearing = hear(&mut read, &mut incoming, &mut heard, heads.len(), ending);
        timeout_at(end, hearing).await.map_err(|_| hang("neither an answer nor an end"))?;
    }
    Ok(heard)
}

/// A server may end the connection at any moment; what it said is read by the other half.
async fn send(write: &mut OwnedWriteHalf, steps: &[Step]) {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if write.write_all(bytes).await.is_err() {
                    return;
                }
            }
            Step::Pause(pause) => sleep(*pause).await,
        }
    }
}

/// Bytes that came and are no whole answer yet.
struct Incoming {
    bytes: Vec<u8>,
    /// Which of the answers to come have no body.
    heads: Vec<bool>,
    is_ended: bool,
}

async fn hear(read: &mut OwnedReadHalf, incoming: &mut Incoming, heard: &mut Heard, count: usize, ending: Ending) {
    let mut buffer = vec![0; 64 << 10];
    loop {
        while let Some(answer) = incoming.next() {
            heard.answers.push(answer);
        }
        if incoming.is_ended || (ending == Ending::Asks && heard.answers.len() >= count) {
            heard.rest.clone_from(&incoming.bytes);
            return;
        }
        match read.read(&mut buffer).await {
            Ok(0) | Err(_) => incoming.is_ended = true,
            Ok(size) => incoming.bytes.extend_from_slice(&buffer[..size]),
        }
    }
}

impl Incoming {
    /// Takes the next whole answer; those that only say to go on are left out.
    fn next(&mut self) -> Option<Answer> {
        loop {
            let end = find(&self.bytes, b"\r\n\r\n")? + 4;
            let head = self.bytes[..end].to_vec();
            let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
            if status == 100 {
                self.bytes.drain(..end);
                continue;
            }
            let is_head = self.heads.first().copied().unwrap_or_default();
            let (body, size) = if is_head || status == 204 || status == 304 {
                (Vec::new(), 0)
            } else if header(&head, "transfer-encoding").is_some() {
                unchunked(&self.bytes[end..])?
            } else if let Some(length) = header(&head, "content-length") {
                let size: usize = length.parse().ok()?;
                (self.bytes.get(end..end + size)?.to_vec(), size)
            } else if self.is_ended {
                (self.bytes[end..].to_vec(), self.bytes.len() - end)
            } else {
                return None;
            };
            self.bytes.drain(..end + size);
            if !self.heads.is_empty() {
                self.heads.remove(0);
            }
            return Some(Answer { status, head, body });
        }
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// The value of a header in the head of an answer.
pub(super) fn header(head: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
    lines.find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

/// A chunked body, and how many bytes it took.
fn unchunked(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = find(&bytes[at..], b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + line]).ok()?, 16).ok()?;
        let begin = at + line + 2;
        body.extend_from_slice(bytes.get(begin..begin + size)?);
        bytes.get(begin + size..begin + size + 2)?;
        at = begin + size + 2;
        if size == 0 {
            return Some((body, at));
        }
    }
}
