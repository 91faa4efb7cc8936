//! The Job of a run: how it is built and what its state means. Pure; shared by every kind.

pub mod build;
pub mod settings;
pub mod state;
