//! The controllers of plimsoll.dev.
