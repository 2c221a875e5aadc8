//! The one signal that the server is stopping: long calls end on it.

use tokio::sync::watch;

/// Says that the server is stopping, to whoever waits for it.
#[derive(Debug)]
pub(crate) struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Stop {
        Stop(watch::Sender::new(false))
    }
}

impl Stop {
    /// Ends every wait, present and future.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Waits until the server is stopping.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut receiver = self.0.subscribe();
        async move {
            // An error means that the sender, and so the server, is gone.
            let _ = receiver.wait_for(|stopped| *stopped).await;
        }
    }
}
