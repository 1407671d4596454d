//! Subscribers: each follows one account, goes from replica to replica, and continues behind its last event.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use accounts_center_entity::event;
use rand::RngExt;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::World;
use super::checks::{Broken, broken};
use super::cluster::Address;
use super::followed::{Follows, ONCE, kind_of, look_at_objects};
use super::plan::{Dice, Role};
use super::replay::{Kind, kind};
use super::report::{Did, Entry, Got, Who};
use super::wire::{AccountShown, position_of};
use crate::support::{Socket, SocketMessage};

const START: &str = "{ viewer { version eventCursor displayName profiles { id status } } }";

/// How long a replica may take to open a socket, and to answer the first question.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Subscriber {
    pub number: usize,
    pub account: usize,
    pub follows: Follows,
    /// Events show it nothing; instead it asks for the account after each one, over the same socket.
    refetches: bool,
    /// Somebody wants it to subscribe anew.
    pub poked: Notify,
    heard: Mutex<Heard>,
}

/// What it has heard so far.
#[derive(Default)]
pub struct Heard {
    /// Behind its last event; absent before it has begun.
    pub cursor: Option<String>,
    pub position: i64,
    /// In how many restores' time it got that cursor.
    restores: u32,
    /// Since the last judgement.
    pub events: Vec<(i64, Kind)>,
    /// Where it stood then.
    pub since: i64,
    /// Where it is connected.
    pub at: Option<Address>,
}

impl Subscriber {
    pub fn new(number: usize, accounts: usize) -> Self {
        // Each account has one that follows everything, and some have others.
        let follows = match number / accounts {
            0 => Follows::Everything,
            _ if number.is_multiple_of(3) => Follows::Connections,
            _ => Follows::Links,
        };
        let (poked, heard, refetches) = (Notify::new(), Mutex::default(), number % 2 == 1);
        Self { number, account: number % accounts, follows, refetches, poked, heard }
    }

    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap()
    }

    /// Follows until the run is over, whatever happens to its connections.
    pub async fn follow(self: Arc<Self>, world: Arc<World>) {
        let mut dice = world.plan.dice(Role::Subscriber, self.number);
        while !world.over.is_cancelled() {
            let replicas = &world.cluster.replicas;
            let replica = dice.random_range(0..replicas.len());
            if let Some(address) = replicas[replica].address() {
                tokio::select! {
                    () = world.over.cancelled() => {}
                    heard = self.connection(&world, address, &mut dice) => {
                        if let Err(mut broken) = heard {
                            broken.how = format!("subscriber {} to {:?}: {}", self.number, self.follows, broken.how);
                            world.blame(Some(&world.accounts[self.account]), &broken);
                        }
                    }
                }
                self.heard().at = None;
                world.tally.count("subscribers", "connections ended");
            }
            tokio::time::sleep(Duration::from_millis(dice.random_range(5..60))).await;
        }
    }

    /// One connection from its begin to its end.
    async fn connection(&self, world: &World, at: Address, dice: &mut Dice) -> Result<(), Broken> {
        let account = &world.accounts[self.account];
        let mut cuts = world.cuts.subscribe();
        let url = at.url();
        let open = Socket::try_open(&url, &account.token);
        let Ok(Some(mut socket)) = tokio::time::timeout(PATIENCE, open).await else { return Ok(()) };
        let known = self.heard().cursor.is_some();
        if !known && !self.begin(world, &mut socket).await? {
            return Ok(());
        }
        self.heard().at = Some(at);
        let mut id = 0;
        loop {
            id += 1;
            if !self.subscribe(world, &mut socket, at, id).await {
                return Ok(());
            }
            let again = tokio::select! {
                ended = self.listen(world, &mut socket, at, id) => return ended,
                () = self.poked.notified() => true,
                () = world.cut(&mut cuts, self.number) => false,
            };
            // Half of the time over the same socket, half over another one.
            if !again || dice.random_bool(0.5) {
                return Ok(());
            }
            if socket.try_send(&json!({ "type": "complete", "id": id.to_string() })).await.is_none() {
                return Ok(());
            }
        }
    }

    /// Begins behind what the account is now; false if the connection ended first.
    async fn begin(&self, world: &World, socket: &mut Socket) -> Result<bool, Broken> {
        let account = &world.accounts[self.account];
        let restores = world.restores.load(Ordering::Acquire);
        let ask = json!({ "type": "subscribe", "id": "start", "payload": { "query": START } });
        if socket.try_send(&ask).await.is_none() {
            return Ok(false);
        }
        let Some(SocketMessage::Json(answer)) = socket.next_within(PATIENCE).await else { return Ok(false) };
        if answer["payload"].get("errors").is_some() {
            return expect_unavailable(&answer["payload"]["errors"]).map(|()| false);
        }
        let text = answer["payload"]["data"]["viewer"].to_string();
        let Ok(shown) = serde_json::from_str::<AccountShown<'_>>(&text) else {
            return broken("nothing is lost", format!("the account is gone: {answer}"));
        };
        let sight = account.read(&shown)?;
        account.see(&sight)?;
        let cursor = shown.event_cursor.map(str::to_owned);
        let (position, since) = (sight.version, sight.version);
        let mut heard = self.heard();
        *heard = Heard { cursor, position, restores, since, events: Vec::new(), at: None };
        Ok(true)
    }

    async fn subscribe(&self, world: &World, socket: &mut Socket, at: Address, id: u32) -> bool {
        let (cursor, position) = {
            let heard = self.heard();
            (heard.cursor.clone(), heard.position)
        };
        world.tally.count("subscribers", "subscriptions");
        let now = world.began.elapsed();
        self.log(world, (now, at), Did::Subscribe(position), position);
        let payload =
            json!({ "query": self.follows.query(self.refetches), "variables": { "after": cursor } });
        socket
            .try_send(&json!({ "type": "subscribe", "id": id.to_string(), "payload": payload }))
            .await
            .is_some()
    }

    /// Takes events until the connection or the subscription ends.
    async fn listen(&self, world: &World, socket: &mut Socket, at: Address, id: u32) -> Result<(), Broken> {
        let (id, again) = (id.to_string(), format!("again after {id}"));
        // The event behind which the account is asked for.
        let mut behind = None;
        loop {
            let message = match socket.next_within(Duration::from_secs(3600)).await {
                Some(SocketMessage::Json(message)) => message,
                Some(SocketMessage::Closed(_)) | None => return Ok(()),
            };
            if message["id"] == again.as_str() {
                match message["type"].as_str() {
                    Some("next") => {
                        self.look_again(world, &message["payload"], behind.unwrap_or_default())?;
                    }
                    _ => behind = None,
                }
                continue;
            }
            // What was on its way when the subscription before this one was completed.
            if message["id"] != id.as_str() {
                continue;
            }
            match message["type"].as_str() {
                Some("next") if message["payload"].get("errors").is_some() => {
                    return self.refused(world, &message["payload"]["errors"]);
                }
                Some("next") => {
                    let number = self.take(world, &message["payload"]["data"]["event"], at)?;
                    if self.refetches && behind.is_none() {
                        behind = Some(number);
                        let ask = json!({ "type": "subscribe", "id": again, "payload": { "query": START } });
                        if socket.try_send(&ask).await.is_none() {
                            return Ok(());
                        }
                    }
                }
                Some("error") => return self.refused(world, &message["payload"]),
                _ => return Ok(()),
            }
        }
    }

    /// The only good reason for it to end is a restore.
    fn refused(&self, world: &World, errors: &Value) -> Result<(), Broken> {
        if errors[0]["extensions"]["code"] != "CURSOR_EXPIRED" {
            return expect_unavailable(errors);
        }
        let mut heard = self.heard();
        if heard.restores == world.restores.load(Ordering::Acquire) {
            let how = format!("the cursor at {} has expired", heard.position);
            return broken("a cursor expires by a restore only", how);
        }
        heard.cursor = None;
        world.tally.count("subscribers", "cursors expired");
        Ok(())
    }

    /// Who has heard of an event is not shown what was before it, by the replica that told it.
    fn look_again(&self, world: &World, payload: &Value, behind: i64) -> Result<(), Broken> {
        if payload.get("errors").is_some() {
            return expect_unavailable(&payload["errors"]);
        }
        let account = &world.accounts[self.account];
        let text = payload["data"]["viewer"].to_string();
        let Ok(shown) = serde_json::from_str::<AccountShown<'_>>(&text) else {
            return broken("nothing is lost", format!("the account is gone: {payload}"));
        };
        let sight = account.read(&shown)?;
        account.see(&sight)?;
        world.tally.count("looked at", "account after its event");
        if sight.version < behind {
            let how = format!("version {} was shown after event {behind}", sight.version);
            return broken("no read goes backwards", how);
        }
        Ok(())
    }

    /// The number of an event that is as it should be.
    fn take(&self, world: &World, event: &Value, at: Address) -> Result<i64, Broken> {
        let account = &world.accounts[self.account];
        let number = event["cursor"].as_str().and_then(position_of);
        let (Some(number), Some((kind, name))) = (number, kind_of(event)) else {
            return broken("answers are as the schema says", format!("an event: {event}"));
        };
        {
            let mut heard = self.heard();
            if heard.restores != world.restores.load(Ordering::Acquire) {
                let how = format!("the cursor at {} of before the restore gave {number}", heard.position);
                return broken("a restore expires cursors", how);
            }
            if number <= heard.position || !self.follows.covers(kind) {
                return broken(ONCE, format!("{name} {number} came behind {}", heard.position));
            }
            heard.position = number;
            heard.cursor = event["cursor"].as_str().map(str::to_owned);
            heard.events.push((number, kind));
        }
        world.tally.count("subscribers", "events");
        self.log(world, (world.began.elapsed(), at), Did::Event(name), number);
        if !self.refetches {
            look_at_objects(account, event, number)?;
        }
        Ok(number)
    }

    fn log(&self, world: &World, (now, at): (Duration, Address), did: Did, number: i64) {
        world.accounts[self.account].log(Entry {
            sent: now,
            answered: now,
            who: Who::Subscriber(self.number),
            at: (at.replica, at.life),
            did,
            min: None,
            got: Got::Version(number),
        });
    }

    /// Whether it has all that there is; what is missing, if not.
    pub fn lacks(&self, world: &World, events: &[event::Model]) -> Option<String> {
        let heard = self.heard();
        if heard.cursor.is_none() || heard.restores != world.restores.load(Ordering::Acquire) {
            return Some(format!("subscriber {} has not even begun, at {:?}", self.number, heard.at));
        }
        let all = events.iter().filter(|event| event.number > heard.since);
        let expected: Vec<_> = all
            .map(|event| (event.number, kind(event)))
            .filter(|(_, kind)| self.follows.covers(*kind))
            .collect();
        if heard.events == expected {
            return None;
        }
        let agree =
            heard.events.iter().zip(&expected).take_while(|(heard, expected)| heard == expected).count();
        Some(format!(
            "subscriber {} to {:?} at {:?} has {} events and not {}; behind the first {agree}: {:?}, and not {:?}",
            self.number,
            self.follows,
            heard.at,
            heard.events.len(),
            expected.len(),
            heard.events.get(agree),
            expected.get(agree)
        ))
    }

    /// What was judged need not be kept.
    pub fn judged(&self) {
        let mut heard = self.heard();
        heard.since = heard.position;
        heard.events.clear();
    }
}

fn expect_unavailable(errors: &Value) -> Result<(), Broken> {
    match errors[0]["extensions"]["code"].as_str() {
        Some("SERVICE_UNAVAILABLE") => Ok(()),
        _ => broken("answers are as the schema says", format!("a subscriber got {errors}")),
    }
}
