//! The OpenID provider of a platform, which proves its profiles: OpenID Connect Core and Discovery 1.0, by the
//! authorization code flow with PKCE (RFC 7636).

mod calls;
mod failure;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient, CoreClientAuthMethod,
    CoreGrantType, CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKey, CoreJsonWebKeySet,
    CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AuthType, AuthUrl, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, IssuerUrl, JwsSigningAlgorithm, Nonce, PkceCodeChallenge, PkceCodeVerifier,
    ProviderMetadata, RedirectUrl, Scope, SignatureVerificationError, TokenResponse, TokenUrl,
};
use recloser::AsyncRecloser;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use url::Url;

use self::failure::{disbelief, undiscovered, unredeemed};
use super::PlatformKey;
use super::line::{Line, circuit};
use crate::clock::Clock;
use crate::config;
use crate::keys::OAuthSecrets;

pub use failure::Unproven;

/// How long what a provider says of itself is believed.
const KNOWN_FOR: TimeDelta = TimeDelta::hours(1);
/// Between two times that its keys are asked for anew because of one that is not known.
const BETWEEN_RENEWALS: TimeDelta = TimeDelta::seconds(10);

type Metadata = ProviderMetadata<
    ResponseIssuer,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// What RFC 9207 adds to the metadata.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct ResponseIssuer {
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for ResponseIssuer {}

/// Proves profiles by the OpenID provider of one platform.
pub struct OpenId {
    line: Line,
    clock: Clock,
    issuer: IssuerUrl,
    client_id: ClientId,
    client_secret: ClientSecret,
    scopes: Vec<Scope>,
    circuit: AsyncRecloser,
    /// Locked while it is asked for, so that a thousand who need it ask once.
    known: Mutex<Known>,
}

/// What is known of a provider.
#[derive(Default)]
struct Known {
    provider: Option<(Provider, DateTime<Utc>)>,
    renewed_at: Option<DateTime<Utc>>,
    /// When it last could not be asked.
    failed_at: Option<Instant>,
}

/// A provider as it describes itself, with its keys. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Metadata>);

impl Provider {
    /// Where a person's browser is sent.
    pub fn authorization_endpoint(&self) -> &str {
        self.0.authorization_endpoint().as_str()
    }

    /// Whether each of its responses says that it is of this provider (RFC 9207).
    pub fn signs_responses(&self) -> bool {
        self.0.additional_metadata().authorization_response_iss_parameter_supported
    }
}

/// An authorization code on its way back to the platform, with what it has to fit.
pub struct Redemption<'a> {
    pub code: &'a str,
    pub redirect_uri: &'a str,
    pub secrets: OAuthSecrets,
}

impl OpenId {
    /// `base_url` is that of the platform; its provider has it too where none is configured, as in the sandbox.
    pub(super) fn new(
        line: &Line,
        key: &PlatformKey,
        platform: &config::Platform,
        base_url: &str,
    ) -> anyhow::Result<Self> {
        let issuer = if platform.issuer.is_empty() { base_url } else { &platform.issuer };
        Ok(Self {
            line: line.clone(),
            clock: line.calls.clock.clone(),
            issuer: IssuerUrl::new(issuer.to_owned())
                .with_context(|| format!("platforms.{key}.issuer is no URL"))?,
            client_id: ClientId::new(platform.client_id.clone()),
            client_secret: ClientSecret::new(platform.client_secret.expose_secret().to_owned()),
            scopes: platform.scopes.iter().cloned().map(Scope::new).collect(),
            circuit: circuit(),
            known: Mutex::default(),
        })
    }

    pub fn issuer(&self) -> &str {
        self.issuer.as_str()
    }

    /// The provider as it describes itself, asked at most once an hour.
    ///
    /// # Errors
    /// Why that cannot be learned, for the log.
    pub async fn provider(&self) -> Result<Provider, String> {
        let asked_at = Instant::now();
        let mut known = self.known.lock().await;
        if let Some((provider, read_at)) = &known.provider
            && *read_at + KNOWN_FOR > self.clock.now()
        {
            return Ok(provider.clone());
        }
        // Whoever waited here would only wait as long again.
        if known.failed_at.is_some_and(|failed_at| failed_at >= asked_at) {
            return Err("somebody else asked in vain just now".to_owned());
        }
        match self.discover().await {
            Ok(provider) => {
                known.provider = Some((provider.clone(), self.clock.now()));
                Ok(provider)
            }
            Err(error) => {
                known.failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    async fn discover(&self) -> Result<Provider, String> {
        let found = Metadata::discover_async(self.issuer.clone(), self).await;
        let metadata = found.map_err(|error| undiscovered(&error))?;
        let endpoints = [
            Some(metadata.authorization_endpoint().url()),
            metadata.token_endpoint().map(TokenUrl::url),
            Some(metadata.jwks_uri().url()),
        ];
        if endpoints[1].is_none() {
            return Err("it has no token_endpoint".to_owned());
        }
        let is_secure = self.issuer.url().scheme() != "https"
            || endpoints.into_iter().flatten().all(|endpoint| endpoint.scheme() == "https");
        if !is_secure {
            return Err("one of its endpoints is not https".to_owned());
        }
        Ok(Provider(Arc::new(metadata)))
    }

    /// The provider with the keys that it has now: it may sign with one that is new.
    async fn renew_keys(&self) -> Result<Option<Provider>, String> {
        let mut known = self.known.lock().await;
        let now = self.clock.now();
        let Some((provider, read_at)) = known.provider.clone() else { return Ok(None) };
        if known.renewed_at.is_some_and(|renewed_at| renewed_at + BETWEEN_RENEWALS > now) {
            return Ok(Some(provider));
        }
        known.renewed_at = Some(now);
        let keys = CoreJsonWebKeySet::fetch_async(provider.0.jwks_uri(), self).await;
        let keys = keys.map_err(|error| undiscovered(&error))?;
        let renewed = Provider(Arc::new((*provider.0).clone().set_jwks(keys)));
        known.provider = Some((renewed.clone(), read_at));
        Ok(Some(renewed))
    }

    /// Where to send the person's browser; absent where `endpoint` or `redirect_uri` is no URL.
    pub fn authorization_url(
        &self,
        endpoint: &str,
        redirect_uri: &str,
        secrets: &OAuthSecrets,
    ) -> Option<Url> {
        let client =
            CoreClient::new(self.client_id.clone(), self.issuer.clone(), CoreJsonWebKeySet::default())
                .set_auth_uri(AuthUrl::new(endpoint.to_owned()).ok()?)
                .set_redirect_uri(RedirectUrl::new(redirect_uri.to_owned()).ok()?);
        let verifier = PkceCodeVerifier::new(secrets.verifier.clone());
        let (state, nonce) = (secrets.state.clone(), secrets.nonce.clone());
        let request = client.authorize_url(
            CoreAuthenticationFlow::AuthorizationCode,
            move || CsrfToken::new(state),
            move || Nonce::new(nonce),
        );
        let request = request.set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Some(request.add_scopes(self.scopes.iter().cloned()).url().0)
    }

    /// Redeems an authorization code. Gives the external id of the profile whose owner was at the platform.
    pub async fn redeem(&self, provider: &Provider, what: &Redemption<'_>) -> Result<String, Unproven> {
        let metadata = (*provider.0).clone();
        let auth_type = auth_type(&metadata);
        let redirect = RedirectUrl::new(what.redirect_uri.to_owned());
        let redirect = redirect.map_err(|_| Unproven::Refused("the redirect URL is no URL"))?;
        let secret = self.client_secret.clone();
        let client = CoreClient::from_provider_metadata(metadata, self.client_id.clone(), Some(secret))
            .set_redirect_uri(redirect)
            .set_auth_type(auth_type);
        let request = client
            .exchange_code(AuthorizationCode::new(what.code.to_owned()))
            .map_err(|_| Unproven::NotAsked("it has no token_endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(what.secrets.verifier.clone()));
        let response = request.request_async(self).await.map_err(unredeemed)?;
        let token = response.id_token().ok_or(Unproven::Refused("there is no id token"))?;
        self.subject(provider, token, &Nonce::new(what.secrets.nonce.clone())).await
    }

    /// Who an id token is of, if it can be believed.
    async fn subject(
        &self,
        provider: &Provider,
        token: &CoreIdToken,
        nonce: &Nonce,
    ) -> Result<String, Unproven> {
        use ClaimsVerificationError::SignatureVerification;
        let verified = match token.claims(&self.verifier(provider), nonce) {
            Err(SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                // The code is used up by now, whatever comes of this.
                let renewed = self.renew_keys().await.map_err(Unproven::Unanswered)?;
                let provider = renewed.as_ref().unwrap_or(provider);
                token.claims(&self.verifier(provider), nonce)
            }
            other => other,
        };
        let claims = verified.map_err(|error| Unproven::Refused(disbelief(&error)))?;
        Ok(claims.subject().to_string())
    }

    fn verifier(&self, provider: &Provider) -> CoreIdTokenVerifier<'static> {
        let clock = self.clock.clone();
        // Signed by the provider's own key and not by the client secret, which others may hold as well.
        let algorithms = provider.0.id_token_signing_alg_values_supported().iter().cloned();
        let asymmetric: HashSet<CoreJwsSigningAlgorithm> = algorithms
            .filter(|algorithm| {
                !algorithm.uses_shared_secret() && *algorithm != CoreJwsSigningAlgorithm::None
            })
            .collect();
        let keys = provider.0.jwks().clone();
        CoreIdTokenVerifier::new_public_client(self.client_id.clone(), self.issuer.clone(), keys)
            .set_allowed_algs(asymmetric)
            .set_time_fn(move || clock.now())
    }
}

/// How the client shows who it is at the token endpoint.
fn auth_type(metadata: &Metadata) -> AuthType {
    let basic = CoreClientAuthMethod::ClientSecretBasic;
    // Absent means Basic.
    match metadata.token_endpoint_auth_methods_supported() {
        Some(methods) if !methods.contains(&basic) => AuthType::RequestBody,
        _ => AuthType::BasicAuth,
    }
}

impl std::fmt::Debug for OpenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenId({})", self.issuer.as_str())
    }
}
