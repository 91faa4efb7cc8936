//! Records to Markdown; pure.
