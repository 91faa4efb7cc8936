//! Bounds for what a server sends: a scanner that follows replies of RESP2 byte by byte and refuses what no honest
//! server sends us, before the client's parser keeps it.
//!
//! The parser of the `redis` crate believes announced lengths: `$9999999999` would make it wait, `*1000000000` grow,
//! and `$-2` count as nothing. Source of the grammar: the RESP protocol specification of Redis.

/// Most bytes of one bulk string. Key names and answers of `INFO` are far below it.
const MAX_BULK: i64 = 4 * 1024 * 1024;
/// Most elements of one array. `SCAN` answers with a small multiple of its `COUNT`, which is 2,000 at most.
const MAX_ITEMS: i64 = 100_000;
/// Deepest nesting of arrays: `SCAN` answers with a list in a list.
const MAX_DEPTH: usize = 4;
/// Most bytes of a line that is no length: a status or an error.
const MAX_LINE: usize = 16 * 1024;
/// Most digits of a number: 64 bits need one less.
const MAX_NUMBER: usize = 20;

/// How a server broke the protocol or our bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    /// The first byte of a reply is none that RESP2 knows.
    #[error("an answer that does not begin as one of Redis")]
    NotRedis,
    /// A length or number that is none.
    #[error("a length or number that is none")]
    BadNumber,
    /// A negative length other than that of "nothing".
    #[error("a negative length")]
    NegativeLength,
    /// A string or list that is too long.
    #[error("a string or list longer than any that was asked for")]
    TooLong,
    /// Lists in lists in lists.
    #[error("lists nested deeper than any that was asked for")]
    TooDeep,
    /// A string whose end is not where its length says.
    #[error("a string whose length is wrong")]
    WrongLength,
    /// More bytes in answer to one exchange than it may have.
    #[error("more bytes than the answer may have")]
    TooMuch,
}

/// Where in a reply the scanner is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// Before the first byte of a value.
    Start,
    /// In the line of a number or length of a kind.
    Number { kind: u8, number: Number, seen_return: bool },
    /// In the line of a status or an error.
    Line { length: usize, seen_return: bool },
    /// In a bulk string: bytes of it that are missing, then the line end.
    Bulk { missing: u64, end: u8 },
}

/// The digits of a number so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Number {
    value: i64,
    is_negative: bool,
    has_sign: bool,
    digits: usize,
}

impl Number {
    fn push(&mut self, byte: u8) -> Result<(), Violation> {
        match byte {
            b'0'..=b'9' => {
                let digit = i64::from(byte - b'0');
                let digit = if self.is_negative { -digit } else { digit };
                let next = self.value.checked_mul(10).and_then(|value| value.checked_add(digit));
                self.value = next.ok_or(Violation::BadNumber)?;
                self.digits += 1;
                // Zeros before a number would go on forever.
                if self.digits < MAX_NUMBER { Ok(()) } else { Err(Violation::BadNumber) }
            }
            b'+' | b'-' if self.digits == 0 && !self.has_sign => {
                self.is_negative = byte == b'-';
                self.has_sign = true;
                Ok(())
            }
            _ => Err(Violation::BadNumber),
        }
    }

    fn end(self) -> Result<i64, Violation> {
        if self.digits > 0 { Ok(self.value) } else { Err(Violation::BadNumber) }
    }
}

/// Follows a stream of replies.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    place: Place,
    /// Elements that each open array still misses.
    open: Vec<u64>,
    /// How many replies were complete.
    replies: u64,
}

impl Default for Scanner {
    fn default() -> Self {
        Self { place: Place::Start, open: Vec::new(), replies: 0 }
    }
}

impl Scanner {
    /// Reads on.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while let Some(&byte) = bytes.first() {
            if let Place::Bulk { missing, end: 0 } = &mut self.place
                && *missing > 0
            {
                let taken = usize::try_from(*missing).unwrap_or(usize::MAX).min(bytes.len());
                *missing -= taken as u64;
                bytes = &bytes[taken..];
            } else {
                self.step(byte)?;
                bytes = &bytes[1..];
            }
        }
        Ok(())
    }

    /// How many replies were complete so far.
    #[cfg(test)]
    pub(crate) fn replies(&self) -> u64 {
        self.replies
    }

    fn step(&mut self, byte: u8) -> Result<(), Violation> {
        match &mut self.place {
            Place::Start => {
                self.place = match byte {
                    b'+' | b'-' => Place::Line { length: 0, seen_return: false },
                    b':' | b'$' | b'*' => {
                        Place::Number { kind: byte, number: Number::default(), seen_return: false }
                    }
                    _ => return Err(Violation::NotRedis),
                };
                Ok(())
            }
            Place::Bulk { end, .. } => match (*end, byte) {
                (0, b'\r') => {
                    *end = 1;
                    Ok(())
                }
                (1, b'\n') => {
                    self.complete();
                    Ok(())
                }
                _ => Err(Violation::WrongLength),
            },
            Place::Number { kind, number, seen_return: true } => {
                let (kind, number) = (*kind, *number);
                if byte == b'\n' {
                    self.end_of_number(kind, number.end()?)
                } else {
                    Err(Violation::BadNumber)
                }
            }
            Place::Number { seen_return, .. } if byte == b'\r' => {
                *seen_return = true;
                Ok(())
            }
            Place::Number { number, .. } => number.push(byte),
            Place::Line { seen_return: true, .. } if byte == b'\n' => {
                self.complete();
                Ok(())
            }
            Place::Line { length, seen_return } => {
                *seen_return = byte == b'\r';
                *length += 1;
                if *length > MAX_LINE { Err(Violation::TooLong) } else { Ok(()) }
            }
        }
    }

    fn end_of_number(&mut self, kind: u8, number: i64) -> Result<(), Violation> {
        if kind == b':' || number == -1 {
            self.complete();
            return Ok(());
        }
        let length = u64::try_from(number).map_err(|_| Violation::NegativeLength)?;
        if kind == b'$' {
            if number > MAX_BULK {
                return Err(Violation::TooLong);
            }
            self.place = Place::Bulk { missing: length, end: 0 };
            return Ok(());
        }
        if number > MAX_ITEMS {
            return Err(Violation::TooLong);
        }
        if length == 0 {
            self.complete();
            return Ok(());
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Violation::TooDeep);
        }
        self.open.push(length);
        self.place = Place::Start;
        Ok(())
    }

    /// A value ended, and with it every array of which it was the last element.
    fn complete(&mut self) {
        self.place = Place::Start;
        while let Some(missing) = self.open.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.open.pop();
        }
        self.replies += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use redis::Value;

    use super::*;

    fn scan(bytes: &[u8]) -> Result<u64, Violation> {
        let mut scanner = Scanner::default();
        scanner.feed(bytes)?;
        Ok(scanner.replies())
    }

    #[test]
    fn what_servers_send_is_followed_to_its_end() {
        for (bytes, replies) in [
            (&b"+OK\r\n"[..], 1),
            (b"-ERR no\r\n:12\r\n:-2\r\n", 3),
            (b"$5\r\nhe\r\no\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n", 5),
            (b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n+OK\r\n", 2),
            (b"*2\r\n$1\r\n0\r\n*2\r\n$1\r\na\r\n$1\r\n", 0),
            (b"+a\rb\r\n", 1),
            (b":-9223372036854775808\r\n:9223372036854775807\r\n:+1\r\n", 3),
        ] {
            assert_eq!(scan(bytes), Ok(replies), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn lies_are_refused_before_they_are_believed() {
        for (bytes, violation) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Violation::NotRedis),
            (b"\x15\x03\x03\x00\x02\x02\x50", Violation::NotRedis),
            (b"%1\r\n", Violation::NotRedis),
            (b"$-2\r\n", Violation::NegativeLength),
            (b"*-7\r\n", Violation::NegativeLength),
            (b"$9999999999\r\n", Violation::TooLong),
            (b"*1000000000\r\n", Violation::TooLong),
            (b"$99999999999999999999999\r\n", Violation::BadNumber),
            (b":twelve\r\n", Violation::BadNumber),
            (b":--1\r\n", Violation::BadNumber),
            (b":1-\r\n", Violation::BadNumber),
            (b":-\r\n", Violation::BadNumber),
            (b":-9223372036854775809\r\n", Violation::BadNumber),
            (b":00000000000000000000", Violation::BadNumber),
            (b"$\r\n", Violation::BadNumber),
            (b"$5\r0\n", Violation::BadNumber),
            (b"$2\r\nabc\r\n", Violation::WrongLength),
            (b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", Violation::TooDeep),
        ] {
            assert_eq!(scan(bytes), Err(violation), "{:?}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(scan(&[&b"-"[..], &[b'x'; MAX_LINE + 1]].concat()), Err(Violation::TooLong));
        assert_eq!(scan(&b"*1\r\n".repeat(10_000)), Err(Violation::TooDeep));
    }

    fn encode(value: &Value, into: &mut Vec<u8>) {
        match value {
            Value::Int(number) => into.extend(format!(":{number}\r\n").bytes()),
            Value::BulkString(bytes) => {
                into.extend(format!("${}\r\n", bytes.len()).bytes());
                into.extend(bytes);
                into.extend(b"\r\n");
            }
            Value::Array(items) => {
                into.extend(format!("*{}\r\n", items.len()).bytes());
                items.iter().for_each(|item| encode(item, into));
            }
            Value::SimpleString(text) => into.extend(format!("+{text}\r\n").bytes()),
            _ => into.extend(b"$-1\r\n"),
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<i64>().prop_map(Value::Int),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::BulkString),
            "[a-z ]{0,20}".prop_map(Value::SimpleString),
            Just(Value::Nil),
        ];
        leaf.prop_recursive(3, 64, 8, |inner| prop::collection::vec(inner, 0..8).prop_map(Value::Array))
    }

    proptest! {
        #[test]
        fn whatever_is_well_formed_passes_however_it_is_cut(values in prop::collection::vec(value(), 1..6), cut in 1_usize..7) {
            let mut bytes = Vec::new();
            values.iter().for_each(|value| encode(value, &mut bytes));
            let mut scanner = Scanner::default();
            for piece in bytes.chunks(cut) {
                scanner.feed(piece).unwrap();
            }
            prop_assert_eq!(scanner.replies(), values.len() as u64);
            // The parser that reads behind the scanner sees the same replies.
            let mut parser = redis::Parser::new();
            let mut rest = &bytes[..];
            for value in &values {
                let found = parser.parse_value(&mut rest).unwrap();
                if *value != Value::SimpleString("OK".to_owned()) {
                    prop_assert_eq!(&found, value);
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic_or_follow_a_number_without_end(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut scanner = Scanner::default();
            let _ = scanner.feed(&bytes);
            prop_assert!(scanner.open.len() <= MAX_DEPTH);
            if let Place::Number { number, .. } = &scanner.place {
                prop_assert!(number.digits <= MAX_NUMBER);
            }
        }
    }
}
