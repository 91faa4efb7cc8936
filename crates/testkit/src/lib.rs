//! Fixtures and a stateful fake API server with faults; for tests only.
