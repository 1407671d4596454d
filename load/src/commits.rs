//! The second half of the sockets run: accounts change, and what the sockets hear of it is taken down.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::change::{Change, Commit, Event};
use crate::client::Api;
use crate::person::Person;
use crate::plan::Plan;
use crate::report;
use crate::subscription::{News, What};
use crate::tally::Heard;

/// When nothing comes for so long, the events that are due count as lost.
const EVENT_LIMIT: Duration = Duration::from_secs(10);
/// After a commit, so that an event too many is laid at its door; longer than a delayed ACK (40 ms), which
/// holds a second frame back where the server leaves Nagle's algorithm on.
const PAUSE: Duration = Duration::from_millis(100);
/// After the last commit, for events that should not come.
const QUIET: Duration = Duration::from_secs(2);
const PREPARED_AT_ONCE: usize = 8;

/// Who commits what, and through which replicas.
#[derive(Clone, Copy)]
pub struct Committers<'a> {
    pub plan: Plan,
    pub event: Event,
    pub people: &'a [Person],
    /// One for each replica.
    pub apis: &'a [Api],
}

/// What was committed and what came of it.
pub struct History {
    pub commits: Vec<Commit>,
    /// In the order of arrival.
    pub heard: Vec<Heard>,
    /// From the first request to the last answer, or longer by a pause.
    pub elapsed: Duration,
}

impl Committers<'_> {
    /// Commits one after the other, and waits each time until all who should know do.
    pub async fn one_by_one(self, news: &mut UnboundedReceiver<News>) -> anyhow::Result<History> {
        let bar = report::bar("commits", self.plan.commits)?;
        let (mut commits, mut heard) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        for number in 0..self.plan.commits {
            let (account, api) = (self.plan.account_of(number), &self.apis[self.plan.replica_of(number)]);
            let token = &self.people[account].token;
            let whole = async {
                let change = self.event.prepare(api, token, number).await?;
                commits.push(change.commit(api, account, token).await?);
                hear(self.plan.sockets_of(account), news, &mut heard).await?;
                quiet(news, PAUSE).await
            };
            whole.await.with_context(|| format!("commit {}", number + 1))?;
            bar.inc(1);
        }
        let elapsed = begin.elapsed();
        bar.finish_and_clear();
        quiet(news, QUIET).await.context("after the last commit")?;
        Ok(History { commits, heard, elapsed })
    }

    /// Does all of every change but its last request.
    pub async fn prepare(self) -> anyhow::Result<Vec<Change>> {
        let bar = report::bar("preparing", self.plan.commits)?;
        let changes = stream::iter(0..self.plan.commits)
            .map(|number| {
                let token = &self.people[self.plan.account_of(number)].token;
                self.event.prepare(&self.apis[self.plan.replica_of(number)], token, number)
            })
            .buffered(PREPARED_AT_ONCE)
            .inspect_ok(|_| bar.inc(1))
            .try_collect()
            .await;
        bar.finish_and_clear();
        changes
    }

    /// Commits the changes at a steady pace, whether or not those before are done, while events come in.
    pub async fn steadily(
        self,
        changes: Vec<Change>,
        pace: Duration,
        news: &mut UnboundedReceiver<News>,
    ) -> anyhow::Result<History> {
        let mut heard = Vec::with_capacity(self.plan.events());
        let begin = Instant::now();
        let committing = async {
            let commits = self.commit_all(changes, pace).await?;
            Ok((commits, begin.elapsed()))
        };
        let hearing = hear(self.plan.events(), news, &mut heard);
        let ((commits, elapsed), ()) = tokio::try_join!(committing, hearing)?;
        quiet(news, QUIET).await.context("after the last commit")?;
        Ok(History { commits, heard, elapsed })
    }

    async fn commit_all(self, changes: Vec<Change>, pace: Duration) -> anyhow::Result<Vec<Commit>> {
        let bar = report::bar("commits", changes.len())?;
        // One commit at a time on each account, so that its answer is at its own version.
        let turns: Vec<Arc<Mutex<()>>> = self.people.iter().map(|_| Arc::default()).collect();
        let mut committing = JoinSet::new();
        let mut due = tokio::time::Instant::now();
        for (number, change) in changes.into_iter().enumerate() {
            sleep_until(due).await;
            due += pace;
            let account = self.plan.account_of(number);
            let (api, turn) = (self.apis[self.plan.replica_of(number)].clone(), turns[account].clone());
            let token = self.people[account].token.clone();
            committing.spawn(async move {
                let _turn = turn.lock().await;
                change.commit(&api, account, &token).await
            });
        }
        // The last one takes its share of the time, too.
        sleep_until(due).await;
        let mut commits = Vec::with_capacity(committing.len());
        while let Some(commit) = committing.join_next().await {
            commits.push(commit??);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(commits)
    }
}

/// Takes down `due` events.
async fn hear(due: usize, news: &mut UnboundedReceiver<News>, heard: &mut Vec<Heard>) -> anyhow::Result<()> {
    for count in 0..due {
        let Ok(next) = timeout(EVENT_LIMIT, news.recv()).await else {
            bail!("only {count} of {due} events came, and none for {} s", EVENT_LIMIT.as_secs());
        };
        let News { socket, what } = next.context("all sockets are gone")?;
        match what {
            What::Event { at, mark } => heard.push(Heard { socket, mark, at }),
            What::Lost(why) => bail!("socket {socket} is lost: {why}"),
        }
    }
    Ok(())
}

/// Lets time pass in which no socket may have news.
pub async fn quiet(news: &mut UnboundedReceiver<News>, pause: Duration) -> anyhow::Result<()> {
    match timeout(pause, news.recv()).await {
        Err(_) => Ok(()),
        Ok(None) => bail!("all sockets are gone"),
        Ok(Some(News { socket, what: What::Lost(why) })) => bail!("socket {socket} is lost: {why}"),
        Ok(Some(News { socket, .. })) => bail!("socket {socket} heard an event too many"),
    }
}
