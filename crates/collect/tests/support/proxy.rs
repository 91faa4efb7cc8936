//! A proxy on loopback between the collector and a real server: it remembers what the client sent, counts what the
//! server sent, and changes the server's bytes as a test decides.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What becomes of bytes of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// They go on.
    On,
    /// They go on one by one, with this time between.
    Drip(Duration),
    /// They go on, and the connection is reset.
    Reset,
}

/// Changes bytes of one connection; told how many came before.
pub type Change = Box<dyn FnMut(u64, &mut Vec<u8>) -> Flow + Send>;

/// The proxy; it ends when it is dropped.
pub struct Proxy {
    pub port: u16,
    sent: Arc<Mutex<Vec<u8>>>,
    received: Arc<AtomicU64>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    /// A proxy to a port of loopback; `change` makes the change of each connection, which are numbered from 0.
    pub async fn start(upstream: u16, change: impl Fn(usize) -> Change + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sent, received, connections) = (Arc::default(), Arc::default(), Arc::default());
        let shared = (Arc::clone(&sent), Arc::clone(&received), Arc::clone(&connections));
        let task = tokio::spawn(async move {
            let (sent, received, connections): (_, _, Arc<AtomicUsize>) = shared;
            while let Ok((client, _)) = listener.accept().await {
                let change = change(connections.fetch_add(1, Ordering::SeqCst));
                tokio::spawn(pass(client, upstream, change, Arc::clone(&sent), Arc::clone(&received)));
            }
        });
        Self { port, sent, received, connections, task }
    }

    /// A proxy that changes nothing.
    pub async fn plain(upstream: u16) -> Self {
        Self::start(upstream, |_| Box::new(|_, _| Flow::On)).await
    }

    /// All that clients sent.
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().unwrap().clone()
    }

    /// How many bytes the server sent.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn pass(
    client: TcpStream,
    upstream: u16,
    mut change: Change,
    sent: Arc<Mutex<Vec<u8>>>,
    received: Arc<AtomicU64>,
) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_server, mut to_server) = server.into_split();
    let (mut from_client, mut to_client) = client.into_split();
    let there = tokio::spawn(async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer).await {
            sent.lock().unwrap().extend_from_slice(&buffer[..count]);
            if to_server.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    let mut before = 0;
    while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
        received.fetch_add(count as u64, Ordering::SeqCst);
        let mut bytes = buffer[..count].to_vec();
        let flow = change(before, &mut bytes);
        before += count as u64;
        let written = match flow {
            Flow::On | Flow::Reset => to_client.write_all(&bytes).await,
            Flow::Drip(pause) => drip(&mut to_client, &bytes, pause).await,
        };
        if flow == Flow::Reset {
            let _ = to_client.as_ref().set_zero_linger();
            break;
        }
        if written.is_err() {
            break;
        }
    }
    there.abort();
}

async fn drip(
    to: &mut tokio::net::tcp::OwnedWriteHalf,
    bytes: &[u8],
    pause: Duration,
) -> std::io::Result<()> {
    for byte in bytes {
        to.write_all(std::slice::from_ref(byte)).await?;
        tokio::time::sleep(pause).await;
    }
    Ok(())
}
