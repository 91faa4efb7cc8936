//! Steps through the keys of a server, each adapted to what it costs, within one time for all of them.

use std::time::{Duration, Instant};

use plimsoll_analysis::record::SourceReason;
use redis::Value;

use super::client::{Client, Reply};
use super::command::Command;
use super::pace::{Amount, Rest};
use crate::failure::Failure;

/// Most bytes of commands in one pipeline: the server takes 16 KiB of a client at once before it serves the next.
const MAX_BATCH_BYTES: usize = 15 * 1024;
/// Pipelines that are sent at once where the server is not left alone in between.
const MAX_PIPELINES: usize = 8;

/// Part of the whole run's remaining time that a walk takes at most.
const LIMIT_PART: f64 = 0.8;

/// A walk through the keys: a client, the time that is left for it, and how much is asked at once.
pub(crate) struct Walk<'a> {
    pub(crate) client: &'a mut Client,
    end: Instant,
    count: Amount,
    batch: Amount,
    rest: Rest,
}

/// What one step of `SCAN` gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Where to go on; 0 at the end.
    pub(crate) cursor: u64,
    /// Names of keys, some perhaps twice.
    pub(crate) keys: Vec<Vec<u8>>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(client: &'a mut Client, most: Duration, duty_percent: u8) -> Self {
        // What is asked afterwards needs its time too.
        let end = Instant::now() + most.min(client.limit().remaining().mul_f64(LIMIT_PART));
        let (count, batch) = (Amount::of_scan(), Amount::of_batch());
        Self { client, end, count, batch, rest: Rest::of_duty(duty_percent) }
    }

    /// Whether the time for it is over.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// Turns to a numbered database.
    pub(crate) async fn select(&mut self, database: u32) -> Result<(), Failure> {
        self.client.ask(Command::Select(database)).await.map(drop)
    }

    /// One step of `SCAN`, of those keys that match where a pattern is given.
    pub(crate) async fn step(&mut self, cursor: u64, pattern: Option<&[u8]>) -> Result<Step, Failure> {
        let count = self.count.value();
        let command = match pattern {
            None => Command::Scan { cursor, count },
            Some(pattern) => Command::ScanMatching { cursor, count, pattern },
        };
        let answer = self.client.ask(command).await?;
        let took = self.client.server_time();
        self.count.adapt(took);
        self.pause(took).await;
        parse(answer).ok_or_else(|| self.odd("SCAN"))
    }

    /// Sends commands about the first of some keys, each by its place; how many keys were asked about, and one reply to each
    /// command.
    pub(crate) async fn ask<'k>(
        &mut self,
        keys: &'k [Vec<u8>],
        commands: impl Fn(usize, &'k [u8], &mut Vec<Command<'k>>),
    ) -> Result<(usize, Vec<Reply>), Failure> {
        let most = if self.rest.is_never() { MAX_PIPELINES } else { 1 };
        let (mut pipelines, mut taken) = (Vec::new(), 0);
        while pipelines.len() < most && taken < keys.len() {
            let (asked, count) = pipeline(&keys[taken..], self.batch.value() as usize, &|at, key, asked| {
                commands(taken + at, key, asked);
            });
            taken += count;
            if !asked.is_empty() {
                pipelines.push(asked);
            }
        }
        if pipelines.is_empty() {
            return Ok((taken, Vec::new()));
        }
        let replies = self.client.send_all(&pipelines).await?;
        let took = self.client.server_time();
        self.batch.adapt(took);
        self.pause(took).await;
        Ok((taken, replies))
    }

    async fn pause(&mut self, took: Duration) {
        self.rest.worked(took);
        if let Some(rest) = self.rest.take() {
            let left = self.end.saturating_duration_since(Instant::now());
            tokio::time::sleep(rest.min(left)).await;
        }
    }

    /// The failure of an answer that is none to a command.
    pub(crate) fn odd(&self, command: &str) -> Failure {
        let message = format!(
            "{} answered {command} with something else; check that it is a Redis or Valkey, and what stands between it and us",
            self.client.shown()
        );
        Failure::of_source(SourceReason::BadAnswer, message)
    }
}

/// The commands about the first of some keys, as many as may be asked at once and one at least; how many keys they are.
fn pipeline<'k>(
    keys: &'k [Vec<u8>],
    most: usize,
    commands: &impl Fn(usize, &'k [u8], &mut Vec<Command<'k>>),
) -> (Vec<Command<'k>>, usize) {
    let (mut asked, mut bytes, mut taken) = (Vec::new(), 0, 0);
    for (at, key) in keys.iter().enumerate().take(most.max(1)) {
        let before = asked.len();
        commands(at, key, &mut asked);
        bytes += asked[before..].iter().map(Command::most_bytes).sum::<usize>();
        if bytes > MAX_BATCH_BYTES && taken > 0 {
            asked.truncate(before);
            break;
        }
        taken += 1;
    }
    (asked, taken)
}

/// The answer to `SCAN`: a cursor as text, and names.
fn parse(answer: Value) -> Option<Step> {
    let Value::Array(parts) = answer else { return None };
    let Ok([cursor, keys]) = <[Value; 2]>::try_from(parts) else { return None };
    let cursor = match cursor {
        Value::BulkString(text) => std::str::from_utf8(&text).ok()?.parse().ok()?,
        Value::SimpleString(text) => text.parse().ok()?,
        Value::Int(number) => u64::try_from(number).ok()?,
        _ => return None,
    };
    let Value::Array(keys) = keys else { return None };
    let keys = keys.into_iter().map(|key| match key {
        Value::BulkString(name) => Some(name),
        _ => None,
    });
    Some(Step { cursor, keys: keys.collect::<Option<_>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_is_cut_by_keys_and_by_bytes_and_takes_one_key_at_least() {
        let ask = |lengths: &[usize], most| {
            let keys: Vec<Vec<u8>> = lengths.iter().map(|length| vec![b'k'; *length]).collect();
            let (asked, taken) = pipeline(&keys, most, &|_, key, asked| {
                asked.extend([Command::Type(key), Command::TimeToLive(key)]);
            });
            assert_eq!(asked.len(), 2 * taken);
            taken
        };
        assert_eq!(ask(&[10; 8], 5), 5);
        assert_eq!(ask(&[10; 3], 5), 3);
        assert_eq!(ask(&[3000; 8], 8), 2);
        assert_eq!(ask(&[50_000; 8], 8), 1);
        assert_eq!(ask(&[10; 8], 0), 1);
        assert_eq!(ask(&[], 8), 0);
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.into())
    }

    #[test]
    fn an_answer_to_scan_is_a_cursor_and_names() {
        let names = Value::Array(vec![bulk("a"), bulk("b")]);
        let step = parse(Value::Array(vec![bulk("18446744073709551615"), names.clone()])).unwrap();
        assert_eq!(step, Step { cursor: u64::MAX, keys: vec![b"a".to_vec(), b"b".to_vec()] });
        for odd in [
            Value::Nil,
            Value::Int(0),
            Value::Array(vec![bulk("0")]),
            Value::Array(vec![bulk("-1"), names.clone()]),
            Value::Array(vec![bulk("x"), names.clone()]),
            Value::Array(vec![bulk("0"), bulk("x")]),
            Value::Array(vec![bulk("0"), Value::Array(vec![Value::Nil])]),
            Value::Array(vec![bulk("0"), names.clone(), names]),
        ] {
            assert_eq!(parse(odd.clone()), None, "{odd:?}");
        }
    }
}
