//! Tokens for subgraphs: what a subgraph of somebody else learns of who asks, instead of a client's own token.
//!
//! **Invariants.** One is good for one subgraph, for a minute at most, and nowhere here: its header says what it is, and
//! whatever takes tokens refuses it, also where a subgraph has a name that is our own audience.

use std::collections::BTreeMap;

use axum::http::HeaderValue;
use chrono::TimeDelta;
use serde::Serialize;
use uuid::Uuid;

use super::{Tokens, Viewer};
use crate::ids::{Ids, NodeId, NodeKind};

/// The `typ` of their header (RFC 8725, section 3.11).
pub(super) const SUBGRAPH: &str = "subgraph+jwt";
/// Tokens that are kept, each for the session and subgraph that it is of.
pub(super) const KEPT: usize = 20_000;
const LIFETIME: TimeDelta = TimeDelta::seconds(60);
/// One that has no more than this is not given out any more: a call may take a while.
const LEAST: TimeDelta = TimeDelta::seconds(20);

/// Whom a token is for, and whom it speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Minted {
    session: Option<Uuid>,
    subgraph: String,
    /// Of the link graph that it tells of.
    version: i64,
}

/// Which subgraph gets a token, and what it is told there beside whom it speaks for.
pub struct Audience<'a> {
    /// Its name.
    pub subgraph: &'a str,
    /// Those of the viewer's scopes that it is told.
    pub scopes: &'a [String],
    /// The external ids of the viewer's profiles by platform, and the version of the link graph that they are of; absent where
    /// it is told of none.
    pub profiles: Option<(i64, BTreeMap<String, Vec<String>>)>,
}

/// A token as a header, and when it is given out for the last time, in seconds since the epoch.
#[derive(Clone)]
pub(super) struct Mint {
    header: HeaderValue,
    until: i64,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    /// The account's global id; absent for who is not signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profiles: Option<BTreeMap<String, Vec<String>>>,
    jti: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// `Bearer …` for a subgraph of our own configuration, which speaks for `viewer`; the same one for a while.
    pub fn for_subgraph(
        &self,
        viewer: Option<Viewer>,
        audience: Audience<'_>,
        ids: &Ids,
    ) -> anyhow::Result<HeaderValue> {
        let now = self.now();
        let version = audience.profiles.as_ref().map(|(version, _)| *version).unwrap_or_default();
        let session = viewer.map(|viewer| viewer.session);
        let key = Minted { session, subgraph: audience.subgraph.to_owned(), version };
        if let Some(mint) = self.minted().get(&key).filter(|mint| now.timestamp() < mint.until) {
            return Ok(mint.header);
        }
        let header = self.mint_for_subgraph(viewer, audience, ids)?;
        let mint = Mint { header: header.clone(), until: (now + LIFETIME - LEAST).timestamp() };
        self.minted().insert(key, mint);
        Ok(header)
    }

    /// A new one for a subgraph of any router: what it is told is not the same for all that are called so.
    pub fn mint_for_subgraph(
        &self,
        viewer: Option<Viewer>,
        Audience { subgraph, scopes, profiles }: Audience<'_>,
        ids: &Ids,
    ) -> anyhow::Result<HeaderValue> {
        let now = self.now();
        let had = self.scopes_of(viewer);
        let claims = Claims {
            iss: self.issuer(),
            aud: subgraph,
            sub: viewer.map(|viewer| NodeId::new(NodeKind::Account, viewer.account).to_string()),
            scope: had.into_iter().filter(|scope| scopes.contains(scope)).collect::<Vec<_>>().join(" "),
            profiles: profiles.map(|(_, profiles)| profiles),
            jti: ids.uuid(now).simple().to_string(),
            iat: now.timestamp(),
            exp: (now + LIFETIME).timestamp(),
        };
        let mut header = HeaderValue::try_from(format!("Bearer {}", self.encode_for_subgraph(&claims)?))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use chrono::DateTime;
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Clock;
    use crate::config::Config;
    use crate::keys::Keys;
    use crate::session::{ROUTER, TokenError};

    fn tokens(clock: &Clock) -> Tokens {
        let mut sessions = Config::from_pairs([]).unwrap().sessions;
        sessions.scopes = [("read", "*"), ("write", "*"), ("admin", "account_1"), (ROUTER, "*")]
            .map(|(scope, who)| (scope.to_owned(), vec![who.to_owned()]))
            .into();
        Tokens::new(&Keys::derive(&[1; 32], 0), clock.clone(), &sessions)
    }

    fn claims(header: &HeaderValue) -> (String, Value) {
        let token = header.to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
        let part = token.split('.').nth(1).unwrap();
        let claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        (token, claims)
    }

    const ADA: Viewer = Viewer { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };

    #[test]
    fn s43_a_token_for_a_subgraph_is_good_for_nothing_here() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let (tokens, ids) = (tokens(&clock), Ids::seeded(1));
        // Also where the subgraph is called as we are, and whoever asks has the scope of routers.
        for name in ["instagram", "accounts-center", "accounts-center-services"] {
            let audience = Audience { subgraph: name, scopes: &[ROUTER.to_owned()], profiles: None };
            let header = tokens.for_subgraph(Some(ADA), audience, &ids).unwrap();
            let (token, claims) = claims(&header);
            assert_eq!(claims["aud"], name);
            assert_eq!(tokens.verify(&token), Err(TokenError::Invalid), "{name}");
            assert_eq!(tokens.verify_service(&token, ROUTER), Err(TokenError::Invalid), "{name}");
        }
    }

    #[test]
    fn a_token_tells_what_its_subgraph_needs_for_a_minute() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let (tokens, ids) = (tokens(&clock), Ids::seeded(1));
        let scopes = ["write".to_owned(), "admin".to_owned()];
        let mint = |viewer, subgraph| {
            let audience = Audience { subgraph, scopes: &scopes, profiles: None };
            tokens.for_subgraph(viewer, audience, &ids).unwrap()
        };
        let first = mint(Some(ADA), "a");
        let (_, told) = claims(&first);
        let account = NodeId::new(NodeKind::Account, ADA.account).to_string();
        assert_eq!((&told["sub"], &told["scope"]), (&json!(account), &json!("write")), "{told}");
        assert_eq!(told["exp"].as_i64().unwrap() - told["iat"].as_i64().unwrap(), 60);
        assert!(first.is_sensitive() && told.get("sid").is_none());
        let (_, nobody) = claims(&mint(None, "a"));
        assert!(nobody.get("sub").is_none() && nobody.get("scope").is_none(), "{nobody}");
        // It is the same one for a while, of one session and one subgraph.
        let bob = Viewer { account: Uuid::from_u128(3), session: Uuid::from_u128(4) };
        assert!(first != mint(Some(ADA), "b") && first != mint(Some(bob), "a"));
        clock.set_offset(39);
        assert_eq!(first, mint(Some(ADA), "a"));
        // It is another one as soon as the account has other profiles.
        let with = |version, ids: &[&str]| {
            let told = [("instagram".to_owned(), ids.iter().map(|id| (*id).to_owned()).collect())];
            Some((version, BTreeMap::from(told)))
        };
        let told = |profiles| {
            let audience = Audience { subgraph: "a", scopes: &scopes, profiles };
            claims(&tokens.for_subgraph(Some(ADA), audience, &Ids::seeded(1)).unwrap()).1["profiles"].clone()
        };
        assert_eq!(told(with(1, &["ig_1", "ig_2"])), json!({ "instagram": ["ig_1", "ig_2"] }));
        assert_eq!(told(with(2, &[])), json!({ "instagram": [] }));
        clock.set_offset(40);
        assert_ne!(first, mint(Some(ADA), "a"));
    }
}
