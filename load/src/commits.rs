//! The second half of the sockets run: profiles are linked, and exactly the right sockets hear it.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::person::{Linked, Person};
use crate::report;
use crate::sockets::Plan;
use crate::subscription::{LinkStatusChange, News, What};

/// After this an event counts as lost.
const EVENT_LIMIT: Duration = Duration::from_secs(10);
/// After a commit, so that an event too many is laid at its door; longer than a delayed ACK (40 ms), which
/// holds a second frame back where the server leaves Nagle's algorithm on.
const PAUSE: Duration = Duration::from_millis(100);
/// After the last commit, for events that should not come.
const QUIET: Duration = Duration::from_secs(2);

/// Delays in µs, one for each event.
#[derive(Default)]
pub struct Delays {
    /// From just before the request that commits was sent.
    pub from_request: Vec<i64>,
    /// From when its answer was here; below zero where the event was faster.
    pub from_answer: Vec<i64>,
}

/// Links profiles one after the other and waits each time until all who should know do.
pub async fn link_profiles(
    plan: Plan,
    people: &mut [Person<'_>],
    news: &mut UnboundedReceiver<News>,
) -> anyhow::Result<Delays> {
    let bar = report::bar("commits", plan.commits)?;
    let mut delays = Delays::default();
    for commit in 0..plan.commits {
        let account = commit % plan.accounts;
        let linked = people[account].link().await.context("linking a profile")?;
        let heard = async {
            hear(plan, account, &linked, news, &mut delays).await?;
            quiet(news, PAUSE).await
        };
        heard.await.with_context(|| format!("commit {}", commit + 1))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    quiet(news, QUIET).await.context("after the last commit")?;
    Ok(delays)
}

/// Takes the events of one commit: one from each socket of the account, none from any other.
async fn hear(
    plan: Plan,
    account: usize,
    linked: &Linked,
    news: &mut UnboundedReceiver<News>,
    delays: &mut Delays,
) -> anyhow::Result<()> {
    let due = plan.sockets_of(account);
    let mut heard = vec![false; plan.sockets];
    for count in 0..due {
        let Ok(next) = timeout(EVENT_LIMIT, news.recv()).await else {
            bail!("only {count} of {due} sockets heard it within {} s", EVENT_LIMIT.as_secs());
        };
        let News { socket, what } = next.context("all sockets are gone")?;
        let (at, change) = match what {
            What::Event { at, change } => (at, change),
            What::Lost(why) => bail!("socket {socket} is lost: {why}"),
        };
        ensure!(plan.account_of(socket) == account, "socket {socket} of another account heard it");
        ensure!(!heard[socket], "socket {socket} heard it twice");
        heard[socket] = true;
        check(&change, linked).with_context(|| format!("the event at socket {socket}"))?;
        delays.from_request.push(micros_between(linked.sent, at)?);
        delays.from_answer.push(micros_between(linked.answered, at)?);
    }
    Ok(())
}

/// The event has to tell of this profile, which was just linked.
fn check(change: &LinkStatusChange, linked: &Linked) -> anyhow::Result<()> {
    let LinkStatusChange { cursor, link_status, graph_version, profile } = change;
    let id = profile.as_ref().map(|profile| profile.id.as_str());
    ensure!(id == Some(&linked.profile_id), "is of profile {id:?}, not {}", linked.profile_id);
    ensure!(
        link_status == "ACTIVE" && *graph_version > 0 && !cursor.is_empty(),
        "has status {link_status}, graph version {graph_version}, cursor `{cursor}`"
    );
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

fn micros_between(from: Instant, to: Instant) -> anyhow::Result<i64> {
    Ok(match to.checked_duration_since(from) {
        Some(after) => i64::try_from(after.as_micros())?,
        None => -i64::try_from((from - to).as_micros())?,
    })
}
