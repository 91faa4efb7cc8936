//! What is done to be fast, each of which can be left out to see the difference.

use std::fmt;
use std::str::FromStr;

/// Which optimisations the service uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Optimizations {
    /// The three indexes for the collection, payment and report queries.
    pub index: bool,
    /// Sessions and answers are kept in the cache.
    pub cache: bool,
    /// The daily summary is a materialised view.
    pub view: bool,
}

impl Optimizations {
    /// All of them.
    pub const ALL: Self = Self { index: true, cache: true, view: true };
    /// None of them.
    pub const NONE: Self = Self { index: false, cache: false, view: false };

    fn names(self) -> impl Iterator<Item = &'static str> {
        [("index", self.index), ("cache", self.cache), ("view", self.view)]
            .into_iter()
            .filter_map(|(name, on)| on.then_some(name))
    }

    /// Those that change the database, as text.
    pub(super) fn of_database(self) -> String {
        Self { cache: false, ..self }.to_string()
    }
}

impl Default for Optimizations {
    fn default() -> Self {
        Self::ALL
    }
}

impl fmt::Display for Optimizations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.names().collect();
        formatter.write_str(if names.is_empty() { "none" } else { "" })?;
        formatter.write_str(&names.join(","))
    }
}

impl FromStr for Optimizations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut found = Self::NONE;
        if matches!(text.trim(), "" | "none") {
            return Ok(found);
        }
        for name in text.split(',') {
            match name.trim() {
                "index" => found.index = true,
                "cache" => found.cache = true,
                "view" => found.view = true,
                other => {
                    return Err(format!(
                        "{other:?} is none of index, cache and view; write \"none\" for none"
                    ));
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_read_as_it_is_written() {
        for bits in 0..8 {
            let these = Optimizations { index: bits & 1 > 0, cache: bits & 2 > 0, view: bits & 4 > 0 };
            assert_eq!(these.to_string().parse(), Ok(these));
        }
        assert_eq!("".parse(), Ok(Optimizations::NONE));
        assert_eq!(" view , index".parse(), Ok(Optimizations { cache: false, ..Optimizations::ALL }));
        assert!("indexes".parse::<Optimizations>().unwrap_err().contains("\"indexes\""));
        assert_eq!(Optimizations::ALL.of_database(), "index,view");
        assert_eq!(Optimizations::NONE.of_database(), "none");
    }
}
