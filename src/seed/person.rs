//! One generated person: an account, its profiles, how they are connected, and the events of all that.

use accounts_center_entity::experience_grant::Experience;
use accounts_center_entity::linked_profile::{LinkStatus, LinkStatusReason};
use accounts_center_entity::{account, experience_grant, linked_profile, profile_connection};
use chrono::{DateTime, TimeDelta, Utc};
use indexmap::IndexMap;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use uuid::Uuid;

use super::name::{FAMILY, GIVEN};
use super::rows::{History, Rows};
use crate::config;
use crate::link_graph::event::{ConnectionChanged, LinkStatusChanged};
use crate::platform::{PlatformKey, mask_handle};

/// 2025-01-01 00:00:00 UTC.
const BEGINNING: DateTime<Utc> = DateTime::from_timestamp(1_735_689_600, 0).unwrap();
/// Days in which accounts are made. What happens to one takes at most 65 days more.
const DAYS: i64 = 300;
/// Of 100 accounts, how many have at most 1, 2, … profiles.
const PROFILES: [u32; 6] = [35, 65, 83, 92, 97, 100];
/// The platform that most have, and whose handles are phone numbers.
const COMMON: &str = "whatsapp";
const EXPERIENCES: [Experience; 4] =
    [Experience::CrossPosting, Experience::SharedLogin, Experience::BusinessTools, Experience::Messaging];

/// Makes the people of one seed.
pub struct Generator {
    seed: u64,
    /// With whether their profiles sign in.
    platforms: Vec<(PlatformKey, bool)>,
}

/// A person who is about to be made: number `n` of a seed.
pub struct Person<'a> {
    generator: &'a Generator,
    n: u32,
    random: ChaCha20Rng,
    id: Uuid,
    since: DateTime<Utc>,
}

impl Generator {
    pub fn new(seed: u64, platforms: &IndexMap<PlatformKey, config::Platform>) -> Self {
        let platforms = platforms.iter().map(|(key, platform)| (key.clone(), platform.sign_in)).collect();
        Self { seed, platforms }
    }

    /// The same each time, whoever was made before.
    pub fn person(&self, n: u32) -> Person<'_> {
        let mut random = ChaCha20Rng::seed_from_u64(self.seed);
        random.set_stream(n.into());
        let since = BEGINNING + TimeDelta::milliseconds(random.random_range(0..DAYS * 24 * 3600 * 1000));
        let id = uuid(&mut random, since);
        Person { generator: self, n, random, id, since }
    }
}

impl Person<'_> {
    /// The account's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Adds all rows of this person.
    pub fn fill(mut self, rows: &mut Rows) -> Result<(), serde_json::Error> {
        let (given, family) = (pick(&mut self.random, &GIVEN), pick(&mut self.random, &FAMILY));
        rows.accounts.push(account::Model {
            id: self.id,
            display_name: format!("{given} {family}"),
            avatar_url: None,
            created_at: self.since,
            deletes_at: None,
            erased_at: None,
        });
        let mut history = History::new(self.id, self.since);
        let profiles = self.profiles(given, family);
        for profile in &profiles {
            let linked = LinkStatusChanged {
                profile: profile.id,
                previous: None,
                status: profile.status.into(),
                reason: profile.status_reason.into(),
            };
            history.add(&linked, profile.linked_at)?;
        }
        self.connect(&profiles, &mut history, rows)?;
        rows.profiles.extend(profiles);
        history.finish(rows);
        Ok(())
    }

    /// From 1 to 6, in the order in which they were linked.
    fn profiles(&mut self, given: &str, family: &str) -> Vec<linked_profile::Model> {
        let dice = self.random.random_range(0..100);
        let count = PROFILES.iter().take_while(|&&at_most| at_most <= dice).count() + 1;
        let mut at = self.since;
        let mut profiles = Vec::with_capacity(count);
        for m in 0..count {
            let (platform, sign_in_enabled) = self.platform();
            let handle = self.handle(&platform, given, family);
            profiles.push(linked_profile::Model {
                id: uuid(&mut self.random, at),
                account_id: self.id,
                platform: platform.to_string(),
                external_id: format!("seed_{}_{}_{m}", self.generator.seed, self.n),
                handle,
                display_name: format!("{given} {family}"),
                avatar_url: None,
                status: LinkStatus::Active,
                status_reason: LinkStatusReason::Verified,
                sign_in_enabled,
                attention_required: false,
                suspended: false,
                contained: false,
                unlinks_at: None,
                linked_at: at,
                status_changed_at: at,
            });
            at += TimeDelta::milliseconds(self.random.random_range(60_000..10 * 24 * 3600 * 1000));
        }
        profiles
    }

    fn platform(&mut self) -> (PlatformKey, bool) {
        let platforms = &self.generator.platforms;
        let common = platforms.iter().find(|(key, _)| key.as_str() == COMMON);
        let any = &platforms[self.random.random_range(0..platforms.len())];
        let (key, sign_in) = common.filter(|_| self.random.random_bool(0.7)).unwrap_or(any);
        (key.clone(), *sign_in)
    }

    fn handle(&mut self, platform: &PlatformKey, given: &str, family: &str) -> String {
        let number: u32 = self.random.random_range(10_000_000..100_000_000);
        if platform.as_str() == COMMON {
            return mask_handle(&format!("+49150{number}"));
        }
        format!("{}.{}.{}", given.to_lowercase(), family.to_lowercase(), number % 10_000)
    }

    /// Some of those who have several profiles let them work together.
    fn connect(
        &mut self,
        profiles: &[linked_profile::Model],
        history: &mut History,
        rows: &mut Rows,
    ) -> Result<(), serde_json::Error> {
        let Some(mut at) = profiles.last().map(|last| last.linked_at) else { return Ok(()) };
        for pair in profiles.windows(2) {
            if self.random.random_bool(0.5) {
                continue;
            }
            let [source, target] = if self.random.random_bool(0.5) { [0, 1] } else { [1, 0] };
            let (source, target) = (pair[source].id, pair[target].id);
            at += TimeDelta::minutes(self.random.random_range(1..1000));
            let connection = uuid(&mut self.random, at);
            rows.connections.push(profile_connection::Model {
                id: connection,
                account_id: self.id,
                source_id: source,
                target_id: target,
                created_at: at,
            });
            let first = self.random.random_range(0..EXPERIENCES.len());
            let count = self.random.random_range(1..=2);
            for experience in EXPERIENCES.into_iter().cycle().skip(first).take(count) {
                rows.grants.push(experience_grant::Model {
                    connection_id: connection,
                    experience,
                    granted_at: at,
                });
                let experience = experience.into();
                history
                    .add(&ConnectionChanged { connection, source, target, experience, enabled: true }, at)?;
            }
        }
        Ok(())
    }
}

fn pick<'a>(random: &mut ChaCha20Rng, names: &[&'a str]) -> &'a str {
    names.choose(random).copied().unwrap_or_default()
}

/// Of version 7, as all ids are.
fn uuid(random: &mut ChaCha20Rng, at: DateTime<Utc>) -> Uuid {
    let mut bytes = [0; 10];
    random.fill_bytes(&mut bytes);
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(seed: u64, range: std::ops::Range<u32>) -> Rows {
        let config = config::Config::from_pairs([]).unwrap();
        let generator = Generator::new(seed, &config.platforms);
        let mut rows = Rows::default();
        for n in range {
            generator.person(n).fill(&mut rows).unwrap();
        }
        rows
    }

    #[test]
    fn a_seed_repeats_itself_and_another_one_makes_others() {
        let (once, again) = (people(7, 0..50), people(7, 0..50));
        assert_eq!(once.profiles, again.profiles);
        assert_eq!(once.events, again.events);
        // Also if one begins in the middle.
        assert_eq!(people(7, 49..50).accounts[0], once.accounts[49]);
        assert!(people(8, 0..50).accounts.iter().all(|other| !once.accounts.contains(other)));
    }

    #[test]
    fn people_are_as_varied_as_they_should_be() {
        let rows = people(1, 0..2000);
        let mut counts = [0; 7];
        for account in &rows.accounts {
            counts[rows.profiles.iter().filter(|profile| profile.account_id == account.id).count()] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!(counts[1..].iter().all(|&count| count > 20), "{counts:?}");
        assert!(!rows.connections.is_empty() && rows.grants.len() > rows.connections.len());
        let year = BEGINNING..BEGINNING + TimeDelta::days(365);
        assert!(rows.events.iter().all(|event| year.contains(&event.occurred_at)));
        let is_masked = |profile: &linked_profile::Model| profile.handle.contains('·');
        let (numbers, names): (Vec<_>, Vec<_>) =
            rows.profiles.iter().partition(|profile| profile.platform == COMMON);
        assert!(numbers.into_iter().all(is_masked), "numbers are masked");
        assert!(!names.is_empty() && !names.into_iter().any(is_masked), "names are shown");
    }
}
