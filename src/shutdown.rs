//! When to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Cancelled at Ctrl-C or SIGTERM. A second one ends the process at once, whatever it stops for.
///
/// # Errors
/// Signals cannot be listened to.
pub fn requested() -> std::io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let requested = CancellationToken::new();
    let request = requested.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        request.cancel();
        either(&mut terminate, &mut interrupt).await;
        std::process::exit(130);
    });
    Ok(requested)
}

async fn either(one: &mut Signal, other: &mut Signal) {
    tokio::select! {
        _ = one.recv() => {}
        _ = other.recv() => {}
    }
}
