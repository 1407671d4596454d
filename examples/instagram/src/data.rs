//! The example's data: made of the external id, so that every profile has some and has the same each time. A real subgraph asks its
//! database here.

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

const MEDIA: u32 = 30;
/// 2026-09-01T08:00:00Z, from where it goes back.
const NEWEST: i64 = 1_788_249_600;

const NAMES: [&str; 8] = ["mira", "jonas", "lea", "tariq", "noor", "emil", "yuki", "paula"];
const SUBJECTS: [&str; 6] =
    ["Harbour", "Breakfast", "A red door", "Rain again", "The long way home", "Sketchbook"];

/// A picture or a video: the `nth` of a profile, the newest being the first.
pub struct Media {
    pub external_id: String,
    nth: u32,
}

/// All media of a profile, the newest first.
pub fn media(external_id: &str) -> impl Iterator<Item = Media> {
    let external_id = external_id.to_owned();
    (0..MEDIA).map(move |nth| Media { external_id: external_id.clone(), nth })
}

impl Media {
    /// The medium that has this id, if one does.
    pub fn parse(id: &str) -> Option<Self> {
        let (external_id, number) = id.strip_prefix("media_")?.rsplit_once('_')?;
        let nth = number.parse().ok().filter(|nth| *nth < MEDIA)?;
        let media = Self { external_id: external_id.to_owned(), nth };
        // One id each: `01` is none.
        (!external_id.is_empty() && media.id() == id).then_some(media)
    }

    pub fn id(&self) -> String {
        format!("media_{}_{}", self.external_id, self.nth)
    }

    pub fn is_video(&self) -> bool {
        self.chance("kind").is_multiple_of(4)
    }

    pub fn caption(&self) -> String {
        pick(&SUBJECTS, self.chance("caption")).to_owned()
    }

    pub fn likes(&self) -> i32 {
        i32::try_from(self.chance("likes") % 5_000).unwrap_or_default()
    }

    pub fn published_at(&self) -> DateTime<Utc> {
        before(TimeDelta::hours(31 * i64::from(self.nth)))
    }

    fn chance(&self, what: &str) -> u32 {
        chance(&self.external_id, &format!("{what} {}", self.nth))
    }
}

pub fn follower_count(external_id: &str) -> usize {
    40 + usize::try_from(chance(external_id, "followers") % 400).unwrap_or_default()
}

/// The name of one of them, the newest being the first.
pub fn follower(external_id: &str, nth: usize) -> String {
    let chance = chance(external_id, &format!("follower {nth}"));
    format!("{}_{}", pick(&NAMES, chance), chance / 8 % 1000)
}

pub fn followed_at(nth: usize) -> DateTime<Utc> {
    before(TimeDelta::minutes(95 * i64::try_from(nth).unwrap_or_default()))
}

fn before(time: TimeDelta) -> DateTime<Utc> {
    DateTime::from_timestamp(NEWEST, 0).unwrap_or_default() - time
}

fn pick<'a>(of: &[&'a str], chance: u32) -> &'a str {
    of[chance as usize % of.len()]
}

/// A number that is as good as random, and the same each time.
fn chance(external_id: &str, what: &str) -> u32 {
    let digest = Sha256::new().chain_update(external_id).chain_update([0]).chain_update(what).finalize();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_found_by_its_id_and_by_no_other() {
        let all: Vec<_> = media("ig_ada").map(|media| media.id()).collect();
        assert_eq!(all.len(), 30);
        for id in &all {
            assert_eq!(&Media::parse(id).expect("it is there").id(), id);
        }
        for id in [
            "",
            "media_",
            "media_ig_ada",
            "media_ig_ada_30",
            "media_ig_ada_01",
            "media_ig_ada_-1",
            "media__1",
        ] {
            assert!(Media::parse(id).is_none(), "{id}");
        }
    }
}
