//! The stream that the PostgreSQL client reads: it counts bytes, bounds them, and looks at the server's wish for a
//! password before the client does.
//!
//! The client would answer a request for the password in clear or as MD5 with just that. A server that asks for it (or
//! whoever sits between) gets nothing: the request never reaches the client.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes of a message during authentication that are looked into.
const MAX_LOOK: usize = 4096;

/// What a stream has seen; shared with whoever judges a failure.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    bytes: AtomicU64,
    too_much: AtomicBool,
    refused: Mutex<Option<Refused>>,
    /// SQLSTATE of an error before the server was ready, read here because such a message may be in any encoding.
    state: Mutex<Option<String>>,
}

/// A way of authentication that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The server wants the password itself.
    Cleartext,
    /// The server wants an MD5 digest of it, which is as good as the password for whoever hears it.
    Md5,
    /// GSSAPI, SSPI or another that is not implemented.
    Other,
}

impl Seen {
    /// Bytes read from the server, after TLS.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether reading ended because the server sent more than is taken.
    pub(crate) fn too_much(&self) -> bool {
        self.too_much.load(Ordering::Relaxed)
    }

    /// The way of authentication that was refused.
    pub(crate) fn refused(&self) -> Option<Refused> {
        self.refused.lock().ok().and_then(|refused| *refused)
    }

    /// SQLSTATE of an error before the server was ready.
    pub(crate) fn state(&self) -> Option<String> {
        self.state.lock().ok().and_then(|state| state.clone())
    }
}

/// A stream with an eye on what the server says.
pub(crate) struct Watched<S> {
    inner: S,
    seen: Arc<Seen>,
    most: u64,
    look: Option<Look>,
}

/// Where in the server's messages the authentication is.
#[derive(Default)]
struct Look {
    /// Type, length and as much of the body as is looked into.
    message: Vec<u8>,
    /// Bytes of the message that are still to come beyond those.
    skip: usize,
}

impl<S> Watched<S> {
    /// Reads at most `most` bytes.
    pub(crate) fn new(inner: S, most: u64) -> Self {
        Self { inner, seen: Arc::default(), most, look: Some(Look::default()) }
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let total = self.seen.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed) + bytes.len() as u64;
        if total > self.most {
            self.seen.too_much.store(true, Ordering::Relaxed);
            return Err(io::Error::other("the server sent more than is taken"));
        }
        let Some(look) = &mut self.look else { return Ok(()) };
        match look.take(bytes, &self.seen) {
            Ok(true) => self.look = None,
            Ok(false) => {}
            Err(refused) => {
                if let Ok(mut known) = self.seen.refused.lock() {
                    *known = Some(refused);
                }
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, "authentication refused"));
            }
        }
        Ok(())
    }
}

impl Look {
    /// Follows the messages; true once the server is content with who we are.
    fn take(&mut self, mut bytes: &[u8], seen: &Seen) -> Result<bool, Refused> {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip > 0 || bytes.is_empty() {
                break;
            }
            let wanted = self.wanted();
            let taken = (wanted - self.message.len()).min(bytes.len());
            self.message.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if self.message.len() < self.wanted() {
                continue;
            }
            let is_done = judge(&self.message, seen)?;
            self.skip = self.length().saturating_sub(self.message.len());
            self.message.clear();
            if is_done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes of the whole message, type included; 5 while its length is not known.
    fn length(&self) -> usize {
        match self.message.get(1..5) {
            Some(&[a, b, c, d]) => 1 + (u32::from_be_bytes([a, b, c, d]) as usize).max(4),
            _ => 5,
        }
    }

    fn wanted(&self) -> usize {
        self.length().min(MAX_LOOK)
    }
}

/// Judges one message of the start of a session (PostgreSQL manual, 55.7): true for `AuthenticationOk`.
fn judge(message: &[u8], seen: &Seen) -> Result<bool, Refused> {
    match (message.first(), message.get(5..9)) {
        (Some(b'R'), Some(&[0, 0, 0, code])) => match code {
            0 => Ok(true),
            3 => Err(Refused::Cleartext),
            5 => Err(Refused::Md5),
            // SASL, its continuation and its end.
            10..=12 => Ok(false),
            _ => Err(Refused::Other),
        },
        (Some(b'R'), _) => Err(Refused::Other),
        (Some(b'E'), _) => {
            // Fields: a byte of type, text, NUL. `C` is the SQLSTATE.
            let state = message[5..]
                .split(|byte| *byte == 0)
                .find_map(|field| field.strip_prefix(b"C"))
                .filter(|state| state.len() == 5 && state.iter().all(u8::is_ascii_alphanumeric));
            if let (Some(state), Ok(mut known)) = (state, seen.state.lock()) {
                *known = Some(String::from_utf8_lossy(state).into_owned());
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let read = self.take(&buffer.filled()[before..]);
        if read.is_err() {
            buffer.set_filled(before);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut message = vec![kind];
        message.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        message.extend_from_slice(body);
        message
    }

    fn authentication(code: u32, rest: &[u8]) -> Vec<u8> {
        message(b'R', &[&code.to_be_bytes(), rest].concat())
    }

    /// What the client gets when the server's bytes come in pieces of `size`.
    async fn read(bytes: &[u8], size: usize, most: u64) -> (Vec<u8>, Arc<Seen>) {
        let (mut server, client) = tokio::io::duplex(size);
        let mut watched = Watched::new(client, most);
        let seen = watched.seen();
        let bytes = bytes.to_vec();
        let writer = tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut server, &bytes).await;
        });
        let mut got = Vec::new();
        let _ = watched.read_to_end(&mut got).await;
        drop(watched);
        writer.await.unwrap();
        (got, seen)
    }

    #[tokio::test]
    async fn a_wish_for_the_password_never_reaches_the_client_whole() {
        for (code, rest, expected) in [
            (3, &b""[..], Refused::Cleartext),
            (5, &b"salt"[..], Refused::Md5),
            (7, &b""[..], Refused::Other),
            (77, &b""[..], Refused::Other),
            (0x0300_0000, &b""[..], Refused::Other),
        ] {
            for size in [1, 2, 3, 7, 64] {
                let notice = message(b'N', b"SNOTICE\0\0");
                let wish = authentication(code, rest);
                let (got, seen) = read(&[notice.clone(), wish.clone()].concat(), size, 1000).await;
                assert_eq!(seen.refused(), Some(expected), "{code} by {size}");
                assert!(got.len() < notice.len() + wish.len(), "{code} by {size}");
            }
        }
    }

    #[tokio::test]
    async fn scram_passes_and_nothing_is_looked_into_once_it_is_done() {
        let bytes = [
            authentication(10, b"SCRAM-SHA-256\0\0"),
            authentication(11, b"r=x,s=y,i=4096"),
            authentication(12, b"v=z"),
            authentication(0, b""),
            authentication(3, b""),
        ]
        .concat();
        for size in [1, 5, 1024] {
            let (got, seen) = read(&bytes, size, 1000).await;
            assert_eq!(got, bytes);
            assert_eq!((seen.refused(), seen.bytes()), (None, bytes.len() as u64));
        }
    }

    #[tokio::test]
    async fn an_early_error_is_known_by_its_state_whatever_its_encoding() {
        let body = b"SFATAL\0VFATAL\0C28P01\0Mfalsches Pa\xdfwort\0\0";
        let (_, seen) = read(&message(b'E', body), 3, 1000).await;
        assert_eq!(seen.state().as_deref(), Some("28P01"));
    }

    #[tokio::test]
    async fn more_bytes_than_are_taken_end_the_stream() {
        let (got, seen) = read(&[0; 100], 10, 50).await;
        assert!(got.len() <= 50 && seen.too_much(), "{}", got.len());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_watch_fail_otherwise_than_by_a_refusal(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut look = Look::default();
            for piece in bytes.chunks(7) {
                if !matches!(look.take(piece, &Seen::default()), Ok(false)) {
                    break;
                }
            }
        }
    }
}
