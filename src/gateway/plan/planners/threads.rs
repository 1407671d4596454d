//! The threads that plan, behind a bounded queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use hive_router_query_planner::utils::cancellation::CancellationToken;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::gateway::plan::Refusal;
use crate::gateway::settings::Plans;

/// Deeply nested operations need it: the planner recurses.
const STACK: usize = 16 * 1024 * 1024;

pub type Task = Box<dyn FnOnce() + Send>;

pub struct Threads {
    pub tasks: mpsc::SyncSender<Task>,
    /// That one task may take.
    time: Duration,
}

impl Threads {
    /// # Errors
    /// A thread that cannot be started.
    pub fn new(settings: &Plans) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::sync_channel(settings.queue);
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..settings.threads {
            let queue = queue.clone();
            let thread = std::thread::Builder::new().name(format!("planner-{number}")).stack_size(STACK);
            thread.spawn(move || work(&queue))?;
        }
        Ok(Self { tasks, time: Duration::from_millis(settings.milliseconds) })
    }

    /// Has something done by a thread, within the time.
    pub async fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&CancellationToken) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Arc<Refusal>> {
        let (begins, begun) = oneshot::channel();
        let (answer, outcome) = oneshot::channel();
        let (time, span) = (self.time, tracing::Span::current());
        let task = move || {
            // It cannot be sent where nobody waits any more.
            if begins.send(()).is_err() {
                return;
            }
            let done = span.in_scope(|| {
                catch_unwind(AssertUnwindSafe(|| task(&CancellationToken::with_timeout(time))))
                    .unwrap_or_else(|_| {
                        tracing::error!("the planner panicked");
                        Err(Refusal::panicked())
                    })
            });
            let _ = answer.send(done);
        };
        if self.tasks.try_send(Box::new(task)).is_err() {
            return Err(Arc::new(Refusal::overloaded()));
        }
        // What waits because of others is not to blame, and may come again.
        if !matches!(timeout(time, begun).await, Ok(Ok(()))) {
            return Err(Arc::new(Refusal::overloaded()));
        }
        // A little more than the planner itself has, for what of it does not look at the time.
        match timeout(time * 2, outcome).await {
            Ok(Ok(outcome)) => outcome.map_err(Arc::new),
            Ok(Err(_)) => Err(Arc::new(Refusal::panicked())),
            Err(_) => Err(Arc::new(Refusal::timed_out())),
        }
    }
}

/// Does what is to be done until there is nobody who could ask.
fn work(queue: &Mutex<mpsc::Receiver<Task>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = next else { return };
        task();
    }
}
