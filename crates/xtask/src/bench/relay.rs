//! A relay on loopback that delivers every byte later, as a network between two machines does.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

/// Bytes taken at once.
const PIECE: usize = 64 * 1024;

/// A running relay; it takes no more connections once it is dropped, and those that it has end with their clients.
pub(super) struct Relay {
    /// Where it listens.
    pub(super) port: u16,
    is_over: Arc<AtomicBool>,
}

impl Relay {
    /// Relays to a port of loopback, each way so much later.
    pub(super) fn start(to: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listen for the relay")?;
        let port = listener.local_addr()?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        thread::spawn(move || {
            for client in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that cannot be relayed is closed: its client says so.
                let _ = client.and_then(|client| relay(client, to, delay));
            }
        });
        Ok(Self { port, is_over })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn relay(client: TcpStream, to: u16, delay: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", to))?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    one_way(client.try_clone()?, server.try_clone()?, delay);
    one_way(server, client, delay);
    Ok(())
}

/// Passes on what comes, until its end or until nobody takes it.
fn one_way(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if sender.send((Instant::now() + delay, buffer[..read].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_arrive_in_their_order_and_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let echo = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut copy = stream.try_clone().unwrap();
            std::io::copy(&mut copy, &mut stream).unwrap();
        });
        let delay = Duration::from_millis(5);
        let relay = Relay::start(echo, delay).unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", relay.port)).unwrap();
        let sent: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
        let begun = Instant::now();
        let mut writing = stream.try_clone().unwrap();
        let bytes = sent.clone();
        let writer = thread::spawn(move || {
            writing.write_all(&bytes).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut first = [0];
        stream.read_exact(&mut first).unwrap();
        assert!(begun.elapsed() >= 2 * delay);
        let mut received = first.to_vec();
        stream.read_to_end(&mut received).unwrap();
        writer.join().unwrap();
        assert!(received == sent, "{} of {} bytes", received.len(), sent.len());
    }
}
