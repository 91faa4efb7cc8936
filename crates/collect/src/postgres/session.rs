//! One session with the server: one statement at a time, each in a read-only transaction of its own under time limits,
//! and cancelled where nobody waits for it any more.

use std::net::SocketAddr;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use plimsoll_analysis::record::{Cost, SourceReason};
use tokio::time::timeout;
use tokio_postgres::{CancelToken, Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::connect::{Opened, Route};
use super::error::of_connection;
use super::sql;
use crate::failure::{Failure, cleaned};
use crate::limit::TimeLimit;

/// Longest that a statement may wait for a lock. Waiting itself harms: whoever wants the lock next waits behind us.
pub(crate) const LOCK_WAIT: Duration = Duration::from_millis(150);
/// Longest of an ordinary statement.
pub(crate) const STATEMENT: Duration = Duration::from_secs(5);
/// How much longer than the server's own limit we wait for its answer.
const GRACE: Duration = Duration::from_secs(2);
/// Longest for a request to cancel, and for an orderly end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most rows and ends of statements of one answer: more than any statement of ours can give.
const MAX_MESSAGES: usize = 20_000;
/// Longest name or setting that is taken.
const MAX_TEXT: usize = 300;

/// The session, and what failed in it so far.
pub(crate) struct Session<'a> {
    opened: Opened,
    route: Route,
    limit: &'a TimeLimit,
    cost: Cost,
    server_time_us: u64,
    /// Texts come as hexadecimal: the database's encoding says nothing of what they are.
    is_raw: bool,
    is_busy: bool,
    is_over: bool,
    pub(crate) failures: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
}

/// One row of an answer, whose cells are text.
pub(crate) struct Row {
    row: SimpleQueryRow,
    is_raw: bool,
}

impl<'a> Session<'a> {
    /// Opens the session.
    pub(crate) async fn open(route: Route, limit: &'a TimeLimit) -> Result<Self, Failure> {
        let opened = route.open(limit).await?;
        Ok(Self {
            opened,
            route,
            limit,
            cost: Cost { queries: Some(0), bytes: Some(0), rows: Some(0), ..Cost::default() },
            server_time_us: 0,
            is_raw: false,
            is_busy: false,
            is_over: false,
            failures: Vec::new(),
            warnings: Vec::new(),
        })
    }

    /// Takes texts as bytes from here on: for a database in SQL_ASCII, whose texts may be in no encoding.
    pub(crate) fn take_raw_texts(&mut self) {
        self.is_raw = true;
    }

    /// SQL for a text column, as [`Row::text`] reads it.
    pub(crate) fn text(&self, expression: &str) -> String {
        if self.is_raw { sql::raw_text(expression) } else { format!("({expression})::text") }
    }

    /// What reading cost so far. Time is the server's own, from the begin of each transaction to its end.
    pub(crate) fn cost(&self) -> Cost {
        Cost { bytes: Some(self.opened.seen.bytes()), server_time_us: Some(self.server_time_us), ..self.cost }
    }

    /// Until when the run may read.
    pub(crate) fn limit(&self) -> &'a TimeLimit {
        self.limit
    }

    /// Reads the rows of one statement within [`STATEMENT`]. What fails is noted under `what` and gives `None`; once
    /// the session is over nothing more is sent or noted.
    pub(crate) async fn read(&mut self, what: &str, statement: &str) -> Option<Vec<Row>> {
        match self.try_read(statement, STATEMENT).await? {
            Ok(rows) => Some(rows),
            Err(failure) => {
                self.failures.push(failure.reading(what));
                None
            }
        }
    }

    /// As [`Session::read`] with a time limit of its own, and the failure handed back instead of noted. `None` where
    /// the session was over before.
    pub(crate) async fn try_read(
        &mut self,
        statement: &str,
        most: Duration,
    ) -> Option<Result<Vec<Row>, Failure>> {
        if self.is_over {
            return None;
        }
        if self.limit.remaining().is_zero() {
            self.is_over = true;
            let message = "the run's time is over before it could be asked";
            return Some(Err(Failure::of_source(SourceReason::Timeout, message)));
        }
        self.cost.queries = self.cost.queries.map(|queries| queries + 1);
        self.is_busy = true;
        let batch = sql::batch(statement, most, LOCK_WAIT);
        let answered = self.limit.within(most + GRACE, answers(&self.opened.client, &batch)).await;
        let read = match answered {
            Ok(Ok(Some(answers))) => {
                self.is_busy = false;
                Ok(self.rows(answers))
            }
            Ok(Ok(None)) => {
                self.is_over = true;
                self.is_busy = false;
                cancel(&self.opened, &self.route).await;
                let message = "the server sent more rows than were asked for";
                Err(Failure::of_source(SourceReason::BadAnswer, message))
            }
            Ok(Err(error)) => {
                self.is_busy = false;
                let failure = of_connection(&error, &self.opened.seen);
                if failure.stops || self.opened.client.is_closed() {
                    self.is_over = true;
                } else {
                    self.roll_back().await;
                }
                Err(failure)
            }
            Err(late) => {
                self.is_over = true;
                self.is_busy = false;
                cancel(&self.opened, &self.route).await;
                Err(Failure::of_source(SourceReason::Timeout, late.to_string()))
            }
        };
        Some(read)
    }

    /// Lets some time pass and shows the server that we are still there; false where the session or the run's time is
    /// over. The empty query does nothing but end the server's count of idle time.
    pub(crate) async fn stays(&mut self, time: Duration) -> bool {
        if self.is_over || self.limit.within(time + GRACE, tokio::time::sleep(time)).await.is_err() {
            return false;
        }
        let answered = self.limit.within(GRACE, self.opened.client.batch_execute("")).await;
        matches!(answered, Ok(Ok(())))
    }

    /// Ends the transaction that a failed statement left behind.
    async fn roll_back(&mut self) {
        let ended = timeout(GRACE, self.opened.client.batch_execute("ROLLBACK")).await;
        self.is_over = !matches!(ended, Ok(Ok(())));
    }

    /// The rows of the statement; those of the last one are the server's time.
    fn rows(&mut self, mut answers: Vec<Vec<SimpleQueryRow>>) -> Vec<Row> {
        let is_raw = self.is_raw;
        let mut last = || answers.pop().unwrap_or_default().into_iter().map(|row| Row { row, is_raw });
        let time = last().next().and_then(|row| row.count(sql::SERVER_TIME));
        let rows: Vec<Row> = last().collect();
        self.server_time_us = self.server_time_us.saturating_add(time.unwrap_or(0));
        self.cost.rows = self.cost.rows.map(|known| known + rows.len() as u64);
        rows
    }

    /// Ends the session in good order, so that the server logs no lost client.
    pub(crate) async fn close(mut self) {
        self.is_busy = false;
        let mut driver = std::mem::replace(&mut self.opened.driver, tokio::spawn(async {}));
        // The client's end is what makes the driver say goodbye.
        drop(self);
        if timeout(FAREWELL, &mut driver).await.is_err() {
            driver.abort();
        }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        if !self.is_busy {
            return;
        }
        // Nobody waits for the statement any more: the server should not work on it.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (token, route) = (self.opened.client.cancel_token(), self.route.clone());
            let peer = self.opened.peer;
            runtime.spawn(async move { send_cancel(token, &route, peer).await });
        }
    }
}

/// Sends a batch and takes the rows of each of its statements that gives any; `None` once there are more than can be
/// right, since each costs memory whatever is in it.
async fn answers(
    client: &Client,
    batch: &str,
) -> Result<Option<Vec<Vec<SimpleQueryRow>>>, tokio_postgres::Error> {
    let mut stream = std::pin::pin!(client.simple_query_raw(batch).await?);
    let (mut answers, mut messages): (Vec<Vec<SimpleQueryRow>>, usize) = (Vec::new(), 0);
    while let Some(message) = stream.next().await {
        messages += 1;
        if messages > MAX_MESSAGES {
            return Ok(None);
        }
        match message? {
            SimpleQueryMessage::RowDescription(_) => answers.push(Vec::new()),
            SimpleQueryMessage::Row(row) => {
                if let Some(answer) = answers.last_mut() {
                    answer.push(row);
                }
            }
            _ => {}
        }
    }
    Ok(Some(answers))
}

async fn cancel(opened: &Opened, route: &Route) {
    send_cancel(opened.client.cancel_token(), route, opened.peer).await;
}

/// Asks the very server that runs the statement to end it.
async fn send_cancel(token: CancelToken, route: &Route, peer: SocketAddr) {
    let sent = timeout(FAREWELL, async {
        if let Ok(stream) = route.again(peer).await {
            let _ = token.cancel_query_raw(stream, NoTls).await;
        }
    });
    let _ = sent.await;
}

impl Row {
    /// A cell as the server wrote it.
    pub(crate) fn cell(&self, column: &str) -> Option<&str> {
        self.row.try_get(column).ok().flatten()
    }

    /// A text that the statement took by [`Session::text`], without control characters, cut at 300 characters.
    pub(crate) fn text(&self, column: &str) -> Option<String> {
        self.whole_text(column).map(|text| cleaned(&text, MAX_TEXT))
    }

    /// The same as it is.
    pub(crate) fn whole_text(&self, column: &str) -> Option<String> {
        let cell = self.cell(column)?;
        Some(if self.is_raw { from_hex(cell) } else { cell.to_owned() })
    }

    /// A text of ASCII that the server wrote itself: a number, a setting, a version.
    pub(crate) fn plain(&self, column: &str) -> Option<String> {
        self.cell(column).map(|cell| cleaned(cell, MAX_TEXT))
    }

    /// A count; a negative one (statistics may fall below) is 0.
    pub(crate) fn count(&self, column: &str) -> Option<u64> {
        let number: i128 = self.cell(column)?.parse().ok()?;
        Some(u64::try_from(number.max(0)).unwrap_or(u64::MAX))
    }

    /// A finite number.
    pub(crate) fn number(&self, column: &str) -> Option<f64> {
        self.cell(column)?.parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// Whether a boolean is true.
    pub(crate) fn is(&self, column: &str) -> bool {
        matches!(self.cell(column), Some("t" | "true" | "on"))
    }

    /// A time that the statement took by [`sql::micros`].
    pub(crate) fn time(&self, column: &str) -> Option<Timestamp> {
        Timestamp::from_microsecond(self.cell(column)?.parse().ok()?).ok()
    }
}

/// Text of hexadecimal bytes; what is no UTF-8 is shown as `\xNN`.
fn from_hex(hex: &str) -> String {
    let pairs = hex.as_bytes().chunks_exact(2);
    let bytes: Vec<u8> =
        pairs.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_utf8_are_shown_and_kill_nothing() {
        assert_eq!(from_hex("6dc3a4"), "mä");
        assert_eq!(from_hex("6de46d"), "m\\xe4m");
        assert_eq!(from_hex("ff"), "\\xff");
        assert_eq!(from_hex(""), "");
        assert_eq!(from_hex("zz6"), "");
    }
}
