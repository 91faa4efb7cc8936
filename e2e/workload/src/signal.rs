//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process gets SIGTERM, as from the kubelet, or SIGINT, as from a terminal.
///
/// The handlers are in place when this returns, before the future that it gives is awaited: a signal in between is not
/// lost, and as process 1 of a container the process would otherwise ignore it.
///
/// # Errors
/// The operating system's, when a handler cannot be installed.
pub fn stop_requested() -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
