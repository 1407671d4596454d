//! Clients that read and change, each with the memory of one person's app.
//!
//! Of the two clients of an account one *moves*: any replica, and it says which version it has seen. The other one
//! *stays* at a replica and says nothing; its memory ends when that replica restarts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use accounts_center::link_graph::graphql::LinkStatus;
use hyper::body::Bytes;
use rand::RngExt;
use serde_json::json;
use tokio::sync::watch;

use super::World;
use super::checks::{Account, Broken, PROFILES, Rename, Sight, broken};
use super::cluster::Address;
use super::plan::{Dice, Role};
use super::report::{Did, Entry, Got, Who};
use super::wire::{self, Answer, Line, Lost, TopError};

/// Clients of each account.
pub const PER_ACCOUNT: usize = 2;

pub struct Client {
    number: usize,
    account: usize,
    moves: bool,
    dice: Dice,
    /// The highest version that it has seen.
    seen: i64,
    /// The life of the replica that it stays at, in which it saw that.
    life: u32,
    /// How its profiles stood when it last looked; only it changes them.
    mine: Vec<Mine>,
    renames: u32,
    lines: Vec<Option<(Address, Line)>>,
    /// Who did not answer is left alone for a while.
    avoids: Option<(usize, Instant)>,
    cuts: watch::Receiver<usize>,
}

/// A profile that this client unlinks and keeps.
struct Mine {
    profile: usize,
    status: LinkStatus,
    /// The version of this client's last write of it; what it sees from before says nothing.
    written: i64,
    /// A write of it was never answered, and may still happen.
    tainted: bool,
}

impl Client {
    pub fn new(world: &World, number: usize) -> Self {
        let in_account = number % PER_ACCOUNT;
        let mine = (1..PROFILES).filter(|profile| profile % PER_ACCOUNT == in_account);
        let active = |profile| Mine { profile, status: LinkStatus::Active, written: 0, tainted: false };
        Self {
            number,
            account: number / PER_ACCOUNT,
            moves: in_account == 0,
            dice: world.plan.dice(Role::Client, number),
            seen: 0,
            life: 0,
            mine: mine.map(active).collect(),
            renames: 0,
            lines: world.cluster.replicas.iter().map(|_| None).collect(),
            avoids: None,
            cuts: world.cuts.subscribe(),
        }
    }

    /// After a restore nothing is known any more.
    pub fn forget(&mut self) {
        self.seen = 0;
        for mine in &mut self.mine {
            (mine.written, mine.tainted) = (0, false);
        }
    }

    /// Does its share of the operations of this phase.
    pub async fn run(mut self, world: Arc<World>) -> Self {
        while world.goes_on() {
            let Some(address) = self.choose_replica(&world) else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            if !world.take_one() {
                break;
            }
            let did = self.choose_operation(&world);
            self.operate(&world, address, did).await;
        }
        self
    }

    fn choose_replica(&mut self, world: &World) -> Option<Address> {
        let replicas = &world.cluster.replicas;
        if !self.moves {
            return replicas[self.account % replicas.len()].address();
        }
        let first = self.dice.random_range(0..replicas.len());
        let avoided = self.avoids.filter(|(_, until)| Instant::now() < *until).map(|(replica, _)| replica);
        let addresses =
            || (0..replicas.len()).filter_map(|n| replicas[(first + n) % replicas.len()].address());
        addresses().find(|address| Some(address.replica) != avoided).or_else(|| addresses().next())
    }

    fn choose_operation(&mut self, world: &World) -> Did {
        match self.dice.random_range(0..100) {
            0..70 => Did::Read,
            70..86 => Did::ReadWhole,
            86..91 => {
                self.renames += 1;
                Did::Rename(format!("s{} c{} n{}", world.plan.seed, self.number, self.renames))
            }
            91..98 => {
                let mine = &self.mine[self.dice.random_range(0..self.mine.len())];
                match mine.status {
                    LinkStatus::Active => Did::Unlink(mine.profile),
                    _ => Did::Keep(mine.profile),
                }
            }
            _ => {
                world.poke_subscribers(self.account, &mut self.dice);
                Did::Read
            }
        }
    }

    async fn operate(&mut self, world: &World, address: Address, did: Did) {
        let account = &world.accounts[self.account];
        if !self.moves && address.life != self.life {
            (self.seen, self.life) = (0, address.life);
        }
        if let Did::Rename(name) = &did {
            let rename = Rename::Unknown { after: self.seen };
            account.state().renames.insert(name.clone(), rename);
        }
        let min = self.moves.then_some(self.seen);
        let body = request(account, &did);
        let sent = world.began.elapsed();
        let answer = self.send(world, address, body, min).await;
        let got = match &answer {
            Ok(bytes) => self.take(account, &did, bytes),
            Err(lost) => Ok(Got::Lost(*lost)),
        };
        world.tally.count("operations", did.kind());
        let (got, broken) = match got {
            Ok(got) => (got, None),
            Err(broken) => (Got::Rejected(format!("BROKEN: {}", broken.rule)), Some(broken)),
        };
        self.conclude(world, address, &did, &got);
        let (answered, at) = (world.began.elapsed(), (address.replica, address.life));
        account.log(Entry { sent, answered, who: Who::Client(self.number), at, did, min, got });
        if let Some(mut broken) = broken {
            let answer = answer.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
            broken.how = format!("client {}: {}\n  the answer: {answer}", self.number, broken.how);
            world.blame(Some(account), &broken);
        }
    }

    /// The body of the answer, unless the connection or the weather takes it.
    async fn send(
        &mut self,
        world: &World,
        address: Address,
        body: Bytes,
        min: Option<i64>,
    ) -> Result<Bytes, Lost> {
        let account = &world.accounts[self.account];
        let line = &mut self.lines[address.replica];
        if line.as_ref().is_none_or(|(of, _)| *of != address) {
            *line = Line::open(address.socket).await.map(|open| (address, open));
            self.cuts.mark_unchanged();
        }
        let Some((_, open)) = line else { return Err(Lost::Refused) };
        let answer = tokio::select! {
            answer = open.post(body, &account.bearer, min) => answer,
            () = world.cut(&mut self.cuts, self.number) => Err(Lost::Cut),
        };
        if answer.is_err() {
            *line = None;
        }
        answer
    }

    /// What an answer says, held against all that is known.
    fn take(&mut self, account: &Account, did: &Did, bytes: &[u8]) -> Result<Got, Broken> {
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(bytes) else {
            return broken("answers are as the schema says", "this is none");
        };
        if let Some(error) = answer.errors.first() {
            return refused(error);
        }
        let Some(data) = answer.data else { return broken("answers are as the schema says", "no data") };
        let shown = match (&data.viewer, &data.done) {
            (Some(viewer), _) => viewer,
            (_, Some(done)) if !done.user_errors.is_empty() => {
                return Ok(Got::Rejected(done.user_errors[0].code.clone()));
            }
            (_, Some(done)) if done.account.is_some() => done.account.as_ref().expect("it is there"),
            _ => return broken("nothing is lost", "the account is gone"),
        };
        let sight = account.read(shown)?;
        if sight.version < self.seen {
            let rule = if self.moves { "the minimum version holds" } else { "no read goes backwards" };
            return broken(rule, format!("version {} was shown after {}", sight.version, self.seen));
        }
        account.see(&sight)?;
        let told = answer.extensions.accounts_center.map(|told| told.version);
        match told {
            Some(told) if data.done.is_none() && told != sight.version => {
                return broken("every answer tells its version", format!("{told} for {}", sight.version));
            }
            Some(told) if told > sight.version => {
                return broken("every answer tells its version", format!("{told} for {}", sight.version));
            }
            Some(_) => {}
            None => return broken("every answer tells its version", "this one does not"),
        }
        self.check_own_write(did, &sight)?;
        self.seen = sight.version;
        self.look_at_mine(&sight);
        Ok(Got::Version(sight.version))
    }

    /// Nobody else changes these profiles.
    fn check_own_write(&self, did: &Did, sight: &Sight<'_>) -> Result<(), Broken> {
        let statuses = sight.statuses.unwrap_or_default();
        for mine in self.mine.iter().filter(|mine| !mine.tainted) {
            let (expected, known) = match did {
                Did::Unlink(profile) if *profile == mine.profile => (LinkStatus::Unlinking, true),
                Did::Keep(profile) if *profile == mine.profile => (LinkStatus::Active, true),
                // A replica that has restarted may have shown what was before.
                _ => (mine.status, self.seen > 0 && self.seen >= mine.written),
            };
            if known && statuses[mine.profile] != Some(expected) {
                let how = format!("profile {} is not {expected:?} but {statuses:?}", mine.profile);
                return broken("own writes are seen", how);
            }
        }
        Ok(())
    }

    fn look_at_mine(&mut self, sight: &Sight<'_>) {
        let statuses = sight.statuses.unwrap_or_default();
        for mine in &mut self.mine {
            mine.status = statuses[mine.profile].unwrap_or(mine.status);
        }
    }

    /// What follows from how an operation ended.
    fn conclude(&mut self, world: &World, address: Address, did: &Did, got: &Got) {
        let account = &world.accounts[self.account];
        match got {
            Got::Version(version) if !matches!(did, Did::Read | Did::ReadWhole) => {
                account.acknowledge(*version);
                match did {
                    Did::Rename(name) => {
                        account.renamed(*version, (address.replica, address.life));
                        settle(account, name, |after| Rename::Acknowledged { after, by: *version });
                    }
                    Did::Unlink(profile) | Did::Keep(profile) => {
                        let mine = self.mine.iter_mut().filter(|mine| mine.profile == *profile);
                        mine.for_each(|mine| mine.written = *version);
                    }
                    _ => {}
                }
            }
            Got::Version(_) => {}
            Got::Rejected(_) => {
                world.tally.count("rejected", did.kind());
                if let Did::Rename(name) = did {
                    settle(account, name, |_| Rename::Rejected);
                }
            }
            Got::Lost(lost) => {
                world.tally.count("lost", lost.name());
                let pause = Duration::from_millis(self.dice.random_range(100..400));
                self.avoids = Some((address.replica, Instant::now() + pause));
                if let (Did::Unlink(profile) | Did::Keep(profile), true) = (did, *lost != Lost::Refused) {
                    let mine = self.mine.iter_mut().filter(|mine| mine.profile == *profile);
                    mine.for_each(|mine| mine.tainted = true);
                }
            }
        }
    }
}

/// An error in the place of an answer. What is not there at the moment is no mistake of anybody.
fn refused(error: &TopError) -> Result<Got, Broken> {
    match error.extensions.code.as_str() {
        "SERVICE_UNAVAILABLE" => Ok(Got::Lost(Lost::Unavailable)),
        code => broken("answers are as the schema says", format!("{code}: {}", error.message)),
    }
}

fn settle(account: &Account, name: &str, turn: impl FnOnce(i64) -> Rename) {
    let mut state = account.state();
    if let Some(rename) = state.renames.get_mut(name)
        && let Rename::Unknown { after } = *rename
    {
        *rename = turn(after);
    }
}

fn request(account: &Account, did: &Did) -> Bytes {
    let id = |profile: usize| json!({ "input": { "profileId": account.profiles[profile].1 } });
    match did {
        Did::ReadWhole => wire::body(wire::WHOLE, &json!({})),
        Did::Rename(name) => wire::body(wire::RENAME, &json!({ "input": { "displayName": name } })),
        Did::Unlink(profile) => wire::body(wire::UNLINK, &id(*profile)),
        Did::Keep(profile) => wire::body(wire::KEEP, &id(*profile)),
        _ => wire::body(wire::HUB, &json!({})),
    }
}
