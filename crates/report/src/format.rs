//! Numbers as people read them: those of the judgements, so that a message and the report beside it say the same.

pub use plimsoll_analysis::format::*;
