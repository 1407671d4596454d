//! Reading the events of an account: a cursor, a watch on the stream's version, and the event table behind the
//! cursor.
//!
//! Nothing is queued for a reader, so a slow one costs nothing, and a lost hint delays but never loses.

use uuid::Uuid;

use crate::account::event::Happened;
use crate::error::Error;
use crate::store::{Batch, Event, Kinds, Store, Watch, bounded};

/// How long a reader waits that could not read on.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// Where somebody stands who follows an account.
pub struct Reader {
    store: Store,
    account: Uuid,
    kinds: Kinds,
    watch: Watch,
    /// The number of the last event that was handed out or passed over.
    position: i64,
    /// Read and not yet handed out, newest first.
    read: Vec<Event<Happened>>,
}

impl Reader {
    /// Stands behind the cursor `after`, or behind what there is now.
    ///
    /// # Errors
    /// BAD_USER_INPUT or CURSOR_EXPIRED for the cursor; UNAUTHENTICATED if there is no such account.
    pub async fn open(store: Store, account: Uuid, kinds: Kinds, after: Option<&str>) -> Result<Self, Error> {
        // Before the version is read, so that nothing falls between.
        let watch = store.watch(account);
        let version = store
            .version(account)
            .await?
            .ok_or_else(|| Error::unauthenticated("This account does not exist any more."))?;
        let position = match after {
            Some(cursor) => store.read_cursor(account, version, cursor)?,
            None => version,
        };
        // Behind the last event of all there is nothing that could have been purged.
        if position < version {
            store.require_unpurged(account, position, kinds).await?;
        }
        store.note_version(account, version);
        Ok(Self { store, account, kinds, watch, position, read: Vec::new() })
    }

    /// The next event, once there is one.
    ///
    /// # Errors
    /// CURSOR_EXPIRED if what comes next was purged meanwhile. After an error there is nothing more to read.
    pub async fn next(&mut self) -> Result<Event<Happened>, Error> {
        loop {
            if let Some(event) = self.read.pop() {
                self.position = event.number;
                if self.read.is_empty() {
                    // A reader that waits keeps no room for a hundred events.
                    self.read = Vec::new();
                }
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
        let (store, account, kinds, position) = (self.store.clone(), self.account, self.kinds, self.position);
        // In a task of its own: a socket that nobody reads is not polled, and its reader must not stand still with
        // a connection.
        let read = tokio::spawn(async move { bounded(read_on(&store, account, kinds, position)).await });
        let (batch, position) = read.await.map_err(Error::internal)??;
        // Events may be read here before their hint is: whoever is told of one and asks then is not shown what was
        // before it.
        if let Some(last) = batch.last() {
            self.store.hear_event(self.account, last.number);
        }
        let moved = position > self.position || !batch.is_empty();
        self.position = position;
        self.read = batch;
        self.read.reverse();
        Ok(moved)
    }
}

/// The next events behind `position`, and the position that a reader has without them.
async fn read_on(
    store: &Store,
    account: Uuid,
    kinds: Kinds,
    position: i64,
) -> Result<(Vec<Event<Happened>>, i64), Error> {
    let found = look(store, account, kinds, position).await?;
    // After the events: what is purged while they are read is either in them or marked by now.
    store.require_unpurged(account, position, kinds).await?;
    Ok(found)
}

async fn look(
    store: &Store,
    account: Uuid,
    kinds: Kinds,
    position: i64,
) -> Result<(Vec<Event<Happened>>, i64), Error> {
    let Batch { events, last } = store.events_after(account, position, kinds, Happened::parse).await?;
    if let Some(last) = last {
        let passed = if events.is_empty() { last } else { position };
        return Ok((events, passed));
    }
    // The version before the events: what is committed in between is then not passed over.
    let version = store.version(account).await?.unwrap_or_default();
    let Batch { events, last } = store.events_after(account, position, kinds, Happened::parse).await?;
    // Without events there are only ones of other kinds up to here.
    let passed = match (events.is_empty(), last) {
        (true, last) => position.max(last.unwrap_or(version)),
        (false, _) => position,
    };
    Ok((events, passed))
}
