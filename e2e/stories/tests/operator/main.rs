//! Stories that disturb the operator or install it otherwise: one at a time, with no other story under way.

#![allow(clippy::unwrap_used, clippy::panic, reason = "this is a test")]

mod crash;
mod install;
mod jobs;
mod quiet;
mod rights;
mod writes;

use anyhow::Result;
use plimsoll_stories::story::{Story, tell};
use tokio::sync::Mutex;

/// Tells a story while no other of this binary is told, with an operator that leads.
async fn alone<F>(name: &str, body: impl FnOnce(Story) -> F)
where
    F: Future<Output = Result<()>>,
{
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());
    let _alone = ONE_AT_A_TIME.lock().await;
    tell(name, |story: Story| async {
        // Whatever a story before has left.
        story.operator().start().await?;
        body(story).await
    })
    .await;
}
