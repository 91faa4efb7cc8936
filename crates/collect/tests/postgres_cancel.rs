//! Whoever waits for a statement no more asks the server to end it, at the very address of the session.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code outside of #[test] functions")]

mod support;

use std::time::Duration;

use plimsoll_analysis::record::{SourceReason, SourceState};
use support::pg::request_as;
use support::{message, run_for, source};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// Process id and key of the session, as the server gives them.
const SESSION: [u8; 8] = [0, 0, 0, 77, 1, 2, 3, 4];

/// Reads a message of the start of a connection: length, then the rest.
async fn first_message(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u32().await.unwrap();
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await.unwrap();
    body
}

/// Lets one session begin, never answers its first statement (and says when it came), and gives what the second
/// connection says first.
async fn silent(listener: TcpListener, asked: oneshot::Sender<()>) -> Vec<u8> {
    let (mut session, _) = listener.accept().await.unwrap();
    first_message(&mut session).await;
    session.write_all(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0, b'K', 0, 0, 0, 12]).await.unwrap();
    session.write_all(&SESSION).await.unwrap();
    session.write_all(&[b'Z', 0, 0, 0, 5, b'I']).await.unwrap();
    assert_eq!(session.read_u8().await.unwrap(), b'Q');
    let statement = first_message(&mut session).await;
    assert!(statement.starts_with(b"BEGIN TRANSACTION"));
    asked.send(()).unwrap();
    let (mut second, _) = listener.accept().await.unwrap();
    first_message(&mut second).await
}

/// `CancelRequest` without its length (PostgreSQL manual, 55.7).
fn cancel_request() -> Vec<u8> {
    [&80_877_102_u32.to_be_bytes()[..], &SESSION].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_is_late_is_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (request, keys) = request_as(listener.local_addr().unwrap().port(), "d", "u", "p");
    let (sender, _asked) = oneshot::channel();
    let server = tokio::spawn(silent(listener, sender));
    let record = run_for(&request, keys, Duration::from_secs(1)).await;
    assert_eq!(source(&record).state, SourceState::Failed);
    assert_eq!(source(&record).reason, Some(SourceReason::Timeout), "{}", message(&record));
    assert_eq!(server.await.unwrap(), cancel_request());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_a_run_that_is_dropped_is_cancelled() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (request, keys) = request_as(listener.local_addr().unwrap().port(), "d", "u", "p");
    let (sender, asked) = oneshot::channel();
    let server = tokio::spawn(silent(listener, sender));
    let run = tokio::spawn(async move { run_for(&request, keys, Duration::from_secs(60)).await });
    asked.await.unwrap();
    run.abort();
    let said = tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap();
    assert_eq!(said, cancel_request());
}
