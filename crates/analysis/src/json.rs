//! JSON as people and tools of text read it: indented like `serde_json::to_string_pretty`, with the numbers of a list in one
//! line. A record holds thousands of them, one list a slot.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// The text of a value, two spaces a level.
///
/// # Errors
/// As `serde_json::to_string_pretty`: a map whose keys are no strings, or a value that refuses to be written.
pub fn to_text<T: Serialize + ?Sized>(value: &T) -> Result<String, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, NumbersInLine::default()))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Breaks lines as `serde_json::ser::PrettyFormatter` does, but not before a number in an array.
#[derive(Default)]
struct NumbersInLine {
    /// Whether a line was broken in each of the arrays and objects that are open.
    broken: Vec<bool>,
    /// An element of an array begins and nothing is written of it yet; whether it is the first.
    begins: Option<bool>,
}

impl NumbersInLine {
    fn break_line<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        for _ in &self.broken {
            writer.write_all(b"  ")?;
        }
        if let Some(broken) = self.broken.last_mut() {
            *broken = true;
        }
        Ok(())
    }

    /// Before an element that is no number.
    fn other<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let Some(is_first) = self.begins.take() else { return Ok(()) };
        if !is_first {
            writer.write_all(b",")?;
        }
        self.break_line(writer)
    }

    /// Before an element that is a number.
    fn number<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.begins.take() == Some(false) {
            writer.write_all(b", ")?;
        }
        Ok(())
    }

    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.other(writer)?;
        self.broken.push(false);
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        if self.broken.pop() == Some(true) {
            writer.write_all(b"\n")?;
            for _ in &self.broken {
                writer.write_all(b"  ")?;
            }
        }
        writer.write_all(bracket)
    }
}

/// Methods that write a number.
macro_rules! numbers {
    ($($method:ident: $type:ty),+ $(,)?) => {
        $(fn $method<W: ?Sized + Write>(&mut self, writer: &mut W, value: $type) -> io::Result<()> {
            self.number(writer)?;
            CompactFormatter.$method(writer, value)
        })+
    };
}

impl Formatter for NumbersInLine {
    numbers!(
        write_i8: i8,
        write_i16: i16,
        write_i32: i32,
        write_i64: i64,
        write_i128: i128,
        write_u8: u8,
        write_u16: u16,
        write_u32: u32,
        write_u64: u64,
        write_u128: u128,
        write_f32: f32,
        write_f64: f64,
        write_number_str: &str,
    );

    fn write_null<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.other(writer)?;
        CompactFormatter.write_null(writer)
    }

    fn write_bool<W: ?Sized + Write>(&mut self, writer: &mut W, value: bool) -> io::Result<()> {
        self.other(writer)?;
        CompactFormatter.write_bool(writer, value)
    }

    fn begin_string<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.other(writer)?;
        CompactFormatter.begin_string(writer)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, _writer: &mut W, first: bool) -> io::Result<()> {
        self.begins = Some(first);
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(b",")?;
        }
        self.break_line(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn numbers_of_a_list_are_in_one_line_and_all_else_is_indented() {
        let value = json!({
            "a": 1.5, "none": [], "empty": {}, "slots": [0, 1, 2],
            "counts": [[1.0, -2, 1e-9], [3]],
            "mixed": ["x", 1, null, {"k": true}, 2],
        });
        let expected = r#"{
  "a": 1.5,
  "none": [],
  "empty": {},
  "slots": [0, 1, 2],
  "counts": [
    [1.0, -2, 1e-9],
    [3]
  ],
  "mixed": [
    "x", 1,
    null,
    {
      "k": true
    }, 2
  ]
}"#;
        assert_eq!(to_text(&value).unwrap(), expected);
    }

    #[test]
    fn without_lists_of_numbers_it_is_the_pretty_text() {
        let value = json!({"a": {"b": ["x", "y"], "c": null}, "d": [{"e": 1}, {"f": "\"\n"}], "g": 0.1});
        assert_eq!(to_text(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap());
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_read_back_the_same(value in any_value()) {
            prop_assert_eq!(serde_json::from_str::<Value>(&to_text(&value).unwrap()).unwrap(), value);
        }
    }
}
