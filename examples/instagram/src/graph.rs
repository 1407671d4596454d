//! The graph: types and resolvers.

use async_graphql::{
    Context, EmptyMutation, EmptySubscription, Enum, Error, ErrorExtensions, ID, InputValueError,
    InputValueResult, Object, Result, SDLExportOptions, Scalar, ScalarType, Schema, SimpleObject, Value,
};

use crate::data;
use crate::token::{Caller, Refused};

/// The platform whose profiles are known here.
const PLATFORM: &str = "instagram";
/// The most of a list that is given at once.
const MOST: usize = 50;
/// `profile` and `recentMedia` lead to each other.
const DEPTH: usize = 12;

pub type InstagramSchema = Schema<Query, EmptyMutation, EmptySubscription>;

pub fn schema() -> InstagramSchema {
    Schema::build(Query, EmptyMutation, EmptySubscription)
        .enable_federation()
        .limit_depth(DEPTH)
        .limit_complexity(10_000)
        .finish()
}

/// What `schema.graphql` holds.
pub fn sdl() -> String {
    let options = SDLExportOptions::new().federation().include_specified_by();
    let sdl = schema().sdl_with_options(options.sorted_fields().sorted_enum_items().sorted_arguments());
    let lines: Vec<_> = sdl.trim().lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// The lower-case key of a configured platform: `facebook`, `instagram`, `whatsapp`.
#[derive(Clone)]
pub struct PlatformKey(String);

/// The lower-case key of a configured platform: `facebook`, `instagram`, `whatsapp`.
#[Scalar]
impl ScalarType for PlatformKey {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(key) => Ok(Self(key)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

/// An instant in UTC, RFC 3339, with millisecond precision.
pub struct DateTime(chrono::DateTime<chrono::Utc>);

/// An instant in UTC, RFC 3339, with millisecond precision.
#[Scalar(specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        let instant = chrono::DateTime::parse_from_rfc3339(text);
        instant.map(|instant| Self(instant.to_utc())).map_err(|_| InputValueError::expected_type(value))
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
    }
}

pub struct Query;

#[Object]
impl Query {
    /// A picture or a video of the caller's profiles by its id. Null if there is none.
    async fn instagram_media(&self, ctx: &Context<'_>, id: ID) -> Option<Result<InstagramMedia>> {
        let media = data::Media::parse(&id)?;
        let external_id = media.external_id.clone();
        of_caller(ctx, &external_id, || Ok(InstagramMedia(media)))
    }

    #[graphql(entity)]
    async fn linked_profile_by_key(
        &self,
        #[graphql(key)] platform_key: PlatformKey,
        #[graphql(key)] external_id: String,
    ) -> LinkedProfile {
        LinkedProfile { platform_key, external_id }
    }

    #[graphql(entity)]
    async fn instagram_media_by_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(key)] id: ID,
    ) -> Option<InstagramMedia> {
        let media = data::Media::parse(&id)?;
        // Who is refused is told so by its fields.
        let is_hidden = caller(ctx).is_ok_and(|caller| !caller.has(PLATFORM, &media.external_id));
        (!is_hidden).then_some(InstagramMedia(media))
    }
}

/// As a router names it: by its key, and nothing else is known of it here.
pub struct LinkedProfile {
    platform_key: PlatformKey,
    external_id: String,
}

impl LinkedProfile {
    fn is_ours(&self) -> bool {
        self.platform_key.0 == PLATFORM
    }
}

// What may be null and may fail is `Option<Result<T>>`: the error stays where it belongs, and takes nothing else of the profile
// with it.
/// A profile on a platform whose owner proved that it is theirs.
#[Object]
impl LinkedProfile {
    /// The key of the platform, for federation.
    async fn platform_key(&self) -> &PlatformKey {
        &self.platform_key
    }

    /// Opaque, scoped to the platform, never a phone number or e-mail address.
    async fn external_id(&self) -> &str {
        &self.external_id
    }

    /// Who follows it, the newest first. At most 50 at once. Null for a profile that is not of Instagram, or not the caller's.
    #[graphql(complexity = "2 + first.max(0) as usize * child_complexity")]
    async fn followers(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 20, desc = "So many, or behind `after`.")] first: i32,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Option<Result<InstagramFollowers>> {
        let read = || followers(&self.external_id, size(first)?, after.as_deref());
        self.is_ours().then(|| of_caller(ctx, &self.external_id, read)).flatten()
    }

    /// Its pictures and videos, the newest first. At most 50. Null for a profile that is not of Instagram, or not the caller's.
    #[graphql(complexity = "2 + first.max(0) as usize * child_complexity")]
    async fn recent_media(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = 10, desc = "So many of the newest.")] first: i32,
    ) -> Option<Result<Vec<InstagramMedia>>> {
        let read = || Ok(data::media(&self.external_id).take(size(first)?).map(InstagramMedia).collect());
        self.is_ours().then(|| of_caller(ctx, &self.external_id, read)).flatten()
    }
}

/// A page of those who follow a profile.
#[derive(SimpleObject)]
pub struct InstagramFollowers {
    /// How many there are in all.
    total_count: i32,
    /// So many as were asked for.
    nodes: Vec<InstagramFollower>,
    /// Good as `after` of the next page.
    end_cursor: Option<String>,
    /// Whether there are more behind this page.
    has_next_page: bool,
}

/// Somebody who follows a profile.
#[derive(SimpleObject)]
pub struct InstagramFollower {
    /// What they are called there.
    username: String,
    /// Since when.
    followed_at: DateTime,
}

/// What a medium is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
pub enum InstagramMediaKind {
    /// It stands still.
    Picture,
    /// It moves.
    Video,
}

/// A picture or a video.
pub struct InstagramMedia(data::Media);

/// A picture or a video.
#[Object]
impl InstagramMedia {
    /// Its id at Instagram.
    async fn id(&self) -> ID {
        self.0.id().into()
    }

    /// What it is.
    async fn kind(&self, ctx: &Context<'_>) -> Result<InstagramMediaKind> {
        caller(ctx)?;
        Ok(if self.0.is_video() { InstagramMediaKind::Video } else { InstagramMediaKind::Picture })
    }

    /// The words below it.
    async fn caption(&self, ctx: &Context<'_>) -> Result<String> {
        caller(ctx)?;
        Ok(self.0.caption())
    }

    /// How many people like it.
    async fn like_count(&self, ctx: &Context<'_>) -> Result<i32> {
        caller(ctx)?;
        Ok(self.0.likes())
    }

    /// When it was published.
    async fn published_at(&self, ctx: &Context<'_>) -> Result<DateTime> {
        caller(ctx)?;
        Ok(DateTime(self.0.published_at()))
    }

    /// The profile that has published it. Null where the caller may not see that one: the accounts graph says so.
    async fn profile(&self) -> Option<LinkedProfile> {
        let platform_key = PlatformKey(PLATFORM.to_owned());
        Some(LinkedProfile { platform_key, external_id: self.0.external_id.clone() })
    }
}

fn followers(external_id: &str, first: usize, after: Option<&str>) -> Result<InstagramFollowers> {
    let total = data::follower_count(external_id);
    let begin: usize = match after {
        None => 0,
        Some(cursor) => cursor.parse().map_err(|_| coded("BAD_USER_INPUT", "`after` is no cursor."))?,
    };
    let end = begin.saturating_add(first).min(total);
    let nodes = (begin..end).map(|nth| InstagramFollower {
        username: data::follower(external_id, nth),
        followed_at: DateTime(data::followed_at(nth)),
    });
    Ok(InstagramFollowers {
        total_count: i32::try_from(total).unwrap_or(i32::MAX),
        nodes: nodes.collect(),
        end_cursor: (end > begin).then(|| end.to_string()),
        has_next_page: end < total,
    })
}

fn size(first: i32) -> Result<usize> {
    let size = usize::try_from(first).ok().filter(|size| *size <= MOST);
    size.ok_or_else(|| coded("BAD_USER_INPUT", "`first` is from 0 to 50."))
}

/// What is read of a profile, if it is the caller's: what anybody may name they need not see. A router's word for it would not do:
/// the key may come from another subgraph than the accounts graph.
fn of_caller<T>(ctx: &Context<'_>, external_id: &str, read: impl FnOnce() -> Result<T>) -> Option<Result<T>> {
    match caller(ctx) {
        Ok(caller) => caller.has(PLATFORM, external_id).then(read),
        Err(refused) => Some(Err(refused)),
    }
}

/// Whoever asks, or why they are refused. Every field that tells something of Instagram begins with it: what a key says, the
/// router has told us itself.
fn caller<'a>(ctx: &Context<'a>) -> Result<&'a Caller> {
    match ctx.data_opt::<Result<Caller, Refused>>() {
        Some(Ok(caller)) => Ok(caller),
        Some(Err(refused @ Refused::Unavailable)) => Err(coded("SERVICE_UNAVAILABLE", &refused.to_string())),
        Some(Err(refused @ Refused::Invalid)) => Err(coded("UNAUTHENTICATED", &refused.to_string())),
        None => Err(coded("UNAUTHENTICATED", &Refused::Invalid.to_string())),
    }
}

fn coded(code: &'static str, sentence: &str) -> Error {
    Error::new(sentence).extend_with(|_, extensions| extensions.set("code", code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_snapshot_is_what_the_code_says() {
        assert_eq!(include_str!("../schema.graphql"), sdl(), "run `cargo xtask schema`");
    }
}
