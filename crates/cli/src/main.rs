//! The `plimsoll` binary.
#![allow(dead_code, unused_imports)]
mod manifest;
fn main() {}
