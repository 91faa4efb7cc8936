//! The system under measurement: a small real web and API service, and its traffic.
