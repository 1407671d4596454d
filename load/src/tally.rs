//! Whether each socket heard each commit of its account once and in order, and after how long.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::change::Commit;
use crate::plan::Plan;

/// An event as it came to a socket.
pub struct Heard {
    pub socket: usize,
    pub mark: String,
    pub at: Instant,
}

/// Delays in µs, one for each event.
#[derive(Default)]
pub struct Delays {
    /// From just before the request that commits was sent.
    pub from_request: Vec<i64>,
    /// From when its answer was here; below zero where the event was faster.
    pub from_answer: Vec<i64>,
}

/// The delays of `heard`, in the order of whose arrival at each socket, if nothing was lost, doubled, in disorder
/// or at the wrong socket.
pub fn delays(plan: Plan, commits: &[Commit], heard: &[Heard]) -> anyhow::Result<Delays> {
    let by_mark: HashMap<&str, usize> =
        commits.iter().enumerate().map(|(number, commit)| (commit.mark.as_str(), number)).collect();
    ensure!(by_mark.len() == commits.len(), "two commits bear one mark: they were answered at one version");
    let mut taken = HashSet::new();
    let mut latest: HashMap<usize, Instant> = HashMap::new();
    let mut delays = Delays::default();
    for Heard { socket, mark, at } in heard {
        let number = by_mark.get(mark.as_str()).with_context(|| {
            format!("socket {socket} heard an event `{mark}`, which no commit of this run made")
        })?;
        let commit = &commits[*number];
        ensure!(plan.account_of(*socket) == commit.account, "socket {socket} of another account heard it");
        ensure!(taken.insert((*number, *socket)), "socket {socket} heard an event twice");
        // Commits of one account are made one after the other.
        let before = latest.insert(*socket, commit.sent);
        ensure!(before.is_none_or(|before| before < commit.sent), "socket {socket} heard events in disorder");
        delays.from_request.push(micros_between(commit.sent, *at)?);
        delays.from_answer.push(micros_between(commit.answered, *at)?);
    }
    let due: usize = commits.iter().map(|commit| plan.sockets_of(commit.account)).sum();
    ensure!(taken.len() == due, "{} of {due} events came", taken.len());
    Ok(delays)
}

fn micros_between(from: Instant, to: Instant) -> anyhow::Result<i64> {
    Ok(match to.checked_duration_since(from) {
        Some(after) => i64::try_from(after.as_micros())?,
        None => -i64::try_from((from - to).as_micros())?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Two accounts with two sockets each; the first one is changed twice.
    fn history() -> (Plan, Vec<Commit>, Vec<Heard>) {
        let plan = Plan { replicas: 2, sockets: 4, accounts: 2, commits: 3 };
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let commit = |account, mark: &str, sent| Commit {
            account,
            mark: mark.to_owned(),
            sent: at(sent),
            answered: at(sent + 4),
        };
        let commits = vec![commit(0, "a", 0), commit(1, "b", 10), commit(0, "c", 20)];
        let heard = [(0, "a", 3), (2, "a", 7), (1, "b", 15), (3, "b", 15), (0, "c", 25), (2, "c", 25)];
        let heard =
            heard.map(|(socket, mark, ms)| Heard { socket, mark: mark.to_owned(), at: at(ms) }).into();
        (plan, commits, heard)
    }

    fn error(change: impl FnOnce(&mut Vec<Heard>)) -> String {
        let (plan, commits, mut heard) = history();
        change(&mut heard);
        delays(plan, &commits, &heard).err().expect("an error").to_string()
    }

    #[test]
    fn delays_run_from_request_and_answer() {
        let (plan, commits, heard) = history();
        let delays = delays(plan, &commits, &heard).unwrap();
        assert_eq!(delays.from_request, [3_000, 7_000, 5_000, 5_000, 5_000, 5_000]);
        assert_eq!(delays.from_answer, [-1_000, 3_000, 1_000, 1_000, 1_000, 1_000]);
    }

    #[test]
    fn loss_doubles_disorder_and_strangers_are_noticed() {
        assert_eq!(error(|heard| drop(heard.pop())), "5 of 6 events came");
        let doubled = error(|heard| {
            let Heard { socket, mark, at } = &heard[0];
            heard.push(Heard { socket: *socket, mark: mark.clone(), at: *at });
        });
        assert_eq!(doubled, "socket 0 heard an event twice");
        assert_eq!(error(|heard| heard.swap(0, 4)), "socket 0 heard events in disorder");
        assert_eq!(error(|heard| heard[2].socket = 0), "socket 0 of another account heard it");
        assert!(error(|heard| heard[2].mark = "d".to_owned()).contains("which no commit of this run made"));
    }
}
