//! The byte stream to a server, watched: what arrives is bounded and checked before the client's parser sees it, and
//! the time from the first byte sent to the first byte received is measured where no parsing of ours adds to it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::resp::{Scanner, Violation};

/// Most bytes of the answers to one exchange. Longest honest one: a step of `SCAN` with 2,000 long names.
const MAX_EXCHANGE: u64 = 8 * 1024 * 1024;
/// How many of the first bytes are kept to tell what answered.
const OPENING: usize = 128;

/// What was seen of a stream.
#[derive(Debug, Default)]
struct Seen {
    scanner: Scanner,
    opening: Vec<u8>,
    received: u64,
    exchange: u64,
    sent_at: Option<Instant>,
    answered_at: Option<Instant>,
    violation: Option<Violation>,
}

impl Seen {
    fn receive(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.answered_at.get_or_insert_with(Instant::now);
        self.received += bytes.len() as u64;
        self.exchange += bytes.len() as u64;
        let room = OPENING.saturating_sub(self.opening.len()).min(bytes.len());
        self.opening.extend(&bytes[..room]);
        let checked =
            if self.exchange > MAX_EXCHANGE { Err(Violation::TooMuch) } else { self.scanner.feed(bytes) };
        if let Err(violation) = checked {
            self.violation = Some(violation);
        }
        checked
    }
}

/// What somebody who holds the other end of the stream may ask about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch(Arc<Mutex<Seen>>);

impl Watch {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new exchange begins: its bytes and its time count from zero.
    pub(crate) fn begin(&self) {
        let mut seen = self.seen();
        seen.exchange = 0;
        seen.sent_at = None;
        seen.answered_at = None;
    }

    /// Time from the first byte sent to the first byte received of this exchange.
    pub(crate) fn waited(&self) -> Option<Duration> {
        let seen = self.seen();
        Some(seen.answered_at?.saturating_duration_since(seen.sent_at?))
    }

    /// Bytes received so far.
    pub(crate) fn received(&self) -> u64 {
        self.seen().received
    }

    /// How the server broke the protocol, if it did.
    pub(crate) fn violation(&self) -> Option<Violation> {
        self.seen().violation
    }

    /// The first bytes received, at most 128.
    pub(crate) fn opening(&self) -> Vec<u8> {
        self.seen().opening.clone()
    }
}

/// A stream with a [`Watch`] on it.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: S,
    watch: Watch,
}

impl<S> Watched<S> {
    pub(crate) fn new(stream: S) -> (Self, Watch) {
        let watch = Watch::default();
        (Self { stream, watch: watch.clone() }, watch)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Ok(())) = &polled
            && let Err(violation) = self.watch.seen().receive(&buffer.filled()[before..])
        {
            buffer.set_filled(before);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation)));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // Before the write: the kernel may deliver it, and the answer arrive, before it returns.
        self.watch.seen().sent_at.get_or_insert_with(Instant::now);
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_lie_ends_the_stream_and_stays_known() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (mut stream, watch) = Watched::new(ours);
        theirs.write_all(b"+OK\r\n$9999999999\r\n").await.unwrap();
        let mut buffer = vec![0; 4096];
        let error = stream.read(&mut buffer).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert_eq!(watch.violation(), Some(Violation::TooLong));
        assert_eq!(watch.opening(), b"+OK\r\n$9999999999\r\n");
    }

    #[tokio::test]
    async fn an_exchange_has_a_limit_and_the_next_one_its_own() {
        let (ours, mut theirs) = tokio::io::duplex(1024 * 1024);
        let (mut stream, watch) = Watched::new(ours);
        let piece = [&b"$524288\r\n"[..], &[b'x'; 524_288], b"\r\n"].concat();
        let mut buffer = vec![0; 64 * 1024];
        let mut read = 0;
        for exchange in 0..3 {
            watch.begin();
            for _ in 0..15 {
                theirs.write_all(&piece).await.unwrap();
                let end = read + piece.len();
                while read < end {
                    read += stream.read(&mut buffer).await.unwrap();
                }
            }
            assert_eq!(watch.received(), read as u64, "{exchange}");
        }
        theirs.write_all(&piece).await.unwrap();
        let result = loop {
            match stream.read(&mut buffer).await {
                Ok(_) => {}
                Err(error) => break error,
            }
            if watch.exchange_is_empty(&piece, read) {
                theirs.write_all(&piece).await.unwrap();
                read += piece.len();
            }
        };
        assert_eq!(result.kind(), io::ErrorKind::InvalidData);
        assert_eq!(watch.violation(), Some(Violation::TooMuch));
    }

    impl Watch {
        fn exchange_is_empty(&self, piece: &[u8], read: usize) -> bool {
            self.received() >= (read + piece.len()) as u64
        }
    }

    #[tokio::test]
    async fn the_wait_runs_from_the_first_byte_sent_to_the_first_received() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let (mut stream, watch) = Watched::new(ours);
        watch.begin();
        assert_eq!(watch.waited(), None);
        stream.write_all(b"PING\r\n").await.unwrap();
        assert_eq!(watch.waited(), None);
        theirs.write_all(b"+PONG\r\n").await.unwrap();
        let mut buffer = [0; 16];
        let _ = stream.read(&mut buffer).await.unwrap();
        assert!(watch.waited().is_some());
        watch.begin();
        assert_eq!(watch.waited(), None);
    }
}
