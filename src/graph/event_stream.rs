//! Subscriptions that pull: a cursor, a watch on the stream's version, and the event table behind the cursor.
//!
//! Nothing is queued for a reader, so a slow one costs nothing, and a lost hint delays but never loses.

use async_graphql::futures_util::stream::{self, Stream};
use futures_util::StreamExt;
use uuid::Uuid;

use crate::error::Error;
use crate::store::{Batch, Event, Store, StreamEvent, Watch, bounded};

/// How long a reader waits that could not read on.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

struct Reader<E> {
    store: Store,
    stream: Uuid,
    watch: Watch,
    /// The number of the last event that was handed out or passed over.
    position: i64,
    /// Read and not yet handed out, newest first.
    read: Vec<Event<E>>,
}

/// The events of kind `E` behind the cursor `after`, or from now on, without end.
///
/// # Errors
/// BAD_USER_INPUT or CURSOR_EXPIRED for the cursor; UNAUTHENTICATED if there is no such stream.
pub async fn follow<E: StreamEvent + Send + 'static>(
    store: Store,
    stream: Uuid,
    after: Option<String>,
) -> Result<impl Stream<Item = Result<Event<E>, Error>> + Send + use<E>, Error> {
    // Before the version is read, so that nothing falls between.
    let watch = store.watch(stream);
    let version = store
        .version(stream)
        .await?
        .ok_or_else(|| Error::unauthenticated("This account does not exist any more."))?;
    let position = match after {
        Some(cursor) => store.read_cursor(stream, version, &cursor)?,
        None => version,
    };
    store.note_version(stream, version);
    let reader = Reader { store, stream, watch, position, read: Vec::new() };
    Ok(stream::unfold(reader, |mut reader| async {
        let event = reader.next().await;
        Some((event, reader))
    }))
}

/// Turns the events of a stream into what the graph shows of them.
pub fn map<E, T>(
    events: impl Stream<Item = Result<Event<E>, Error>> + Send,
    show: impl Fn(Event<E>) -> T + Send + Copy,
) -> impl Stream<Item = Result<T, Error>> + Send {
    events.map(move |event| event.map(show))
}

impl<E: StreamEvent + Send + 'static> Reader<E> {
    async fn next(&mut self) -> Result<Event<E>, Error> {
        loop {
            if let Some(event) = self.read.pop() {
                self.position = event.number;
                return Ok(event);
            }
            self.watch.past(self.position).await;
            match self.advance().await {
                Ok(true) => {}
                // Woken by a hint of what the database does not have: a hint is not the truth.
                Ok(false) => tokio::time::sleep(RETRY).await,
                Err(Error::Unavailable(cause)) => {
                    // The database is away: the reader waits with it and loses nothing.
                    Error::Unavailable(cause).log();
                    tokio::time::sleep(RETRY).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads on; false if there was nothing to read on to.
    async fn advance(&mut self) -> Result<bool, Error> {
        let (store, stream, position) = (self.store.clone(), self.stream, self.position);
        // In a task of its own: a socket that nobody reads is not polled, and its reader must not stand still with
        // a connection.
        let read = tokio::spawn(async move { bounded(read_on(&store, stream, position)).await });
        let (batch, position) = read.await.map_err(Error::internal)??;
        let moved = position > self.position || !batch.is_empty();
        self.position = position;
        self.read = batch;
        self.read.reverse();
        Ok(moved)
    }
}

/// The next events behind `position`, and the position that a reader has without them.
async fn read_on<E: StreamEvent>(
    store: &Store,
    stream: Uuid,
    position: i64,
) -> Result<(Vec<Event<E>>, i64), Error> {
    let Batch { events, last } = store.events_after(stream, position).await?;
    if let Some(last) = last {
        let passed = if events.is_empty() { last } else { position };
        return Ok((events, passed));
    }
    // The version before the events: what is committed in between is then not passed over.
    let version = store.version(stream).await?.unwrap_or_default();
    let Batch { events, last } = store.events_after(stream, position).await?;
    // Without events there are only ones of other kinds up to here.
    let passed = match (events.is_empty(), last) {
        (true, last) => position.max(last.unwrap_or(version)),
        (false, _) => position,
    };
    Ok((events, passed))
}
