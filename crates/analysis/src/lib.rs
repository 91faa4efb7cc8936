//! Pure numbers and judgements of Plimsoll: what a run asks for ([`request`]), what it measured ([`record`]),
//! how a record travels from a Job to the operator ([`frame`]), and the arithmetic in between.
//!
//! Nothing here reads a clock, a file, a network or an environment variable: time and randomness are arguments.
//! That keeps every judgement a table test, and lets the command line, the Job and the operator share it.

pub mod cache_rules;
pub mod compare;
pub mod coverage;
pub mod duration;
pub mod findings;
pub mod format;
pub mod frame;
pub mod hash;
pub mod histogram;
pub mod indicator;
pub mod job;
pub mod json;
pub mod judgement;
pub mod keyspace;
pub mod objective;
pub mod promql;
pub mod quantity;
pub mod query_time;
pub mod ranking;
pub mod record;
pub mod request;
pub mod since;
pub mod threshold;
pub mod trend;
