//! Tokens of services: a federation router that may see more of the graph than people do (S28).
//!
//! They are signed by the same keys as access tokens and are none: they name no session, and have an audience of their own.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{AccessToken, TokenError, Tokens};

/// What a federation router needs: to ask for entities, and for this subgraph's schema.
pub const ROUTER: &str = "router";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The service, as the operator calls it.
    sub: String,
    /// Separated by spaces (RFC 8693, section 4.2).
    scope: String,
    iat: i64,
    exp: i64,
}

impl Tokens {
    /// A token for the service `name` with one scope.
    pub fn sign_service(&self, name: &str, scope: &str, lifetime: TimeDelta) -> anyhow::Result<AccessToken> {
        let now = self.now();
        let expires_at = now + lifetime;
        let claims = Claims {
            iss: self.issuer().to_owned(),
            aud: self.service_audience(),
            sub: format!("service_{name}"),
            scope: scope.to_owned(),
            iat: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        Ok(AccessToken { token: self.encode(&claims)?, expires_at })
    }

    /// Whether `token` is of a service that has `scope`.
    pub fn verify_service(&self, token: &str, scope: &str) -> Result<(), TokenError> {
        let claims: Claims = self.decode(token, &self.service_audience())?;
        if claims.exp <= self.now().timestamp() {
            return Err(TokenError::Expired);
        }
        let has_scope = claims.scope.split(' ').any(|had| had == scope);
        if has_scope { Ok(()) } else { Err(TokenError::Invalid) }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::clock::Clock;
    use crate::ids::Ids;
    use crate::keys::Keys;
    use crate::session::Viewer;

    #[test]
    fn s28_only_a_token_of_a_router_is_one() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let config = crate::config::Config::from_pairs([]).unwrap();
        let tokens =
            |secret: u8| Tokens::new(&Keys::derive(&[secret; 32], 0), clock.clone(), &config.sessions);
        let ours = tokens(1);
        let day = TimeDelta::days(1);
        let router = ours.sign_service("apollo", ROUTER, day).unwrap().token;
        assert_eq!(ours.verify_service(&router, ROUTER), Ok(()));
        let several = ours.sign_service("apollo", "metrics router", day).unwrap().token;
        assert_eq!(ours.verify_service(&several, ROUTER), Ok(()));

        let other = ours.sign_service("apollo", "routers", day).unwrap().token;
        let foreign = tokens(2).sign_service("apollo", ROUTER, day).unwrap().token;
        let viewer = Viewer { account: Uuid::from_u128(1), session: Uuid::from_u128(2) };
        let persons = ours.sign(viewer, &Ids::seeded(1)).unwrap().token;
        for token in [&other, &foreign, &persons, &String::new(), &"x".repeat(10_000)] {
            assert_eq!(ours.verify_service(token, ROUTER), Err(TokenError::Invalid));
        }
        assert!(ours.verify(&router).is_err(), "it speaks for nobody");
        clock.set_offset(24 * 3600);
        assert_eq!(ours.verify_service(&router, ROUTER), Err(TokenError::Expired));
    }
}
