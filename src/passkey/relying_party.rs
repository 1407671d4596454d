//! Who we are to authenticators: the relying party of WebAuthn, by the crate `webauthn-rs`.

use anyhow::Context;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, CredentialID, DiscoverableAuthentication, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Webauthn, WebauthnBuilder, WebauthnError,
};
use webauthn_rs_proto::{
    AllowCredentials, PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions,
    ResidentKeyRequirement,
};

use crate::config;

/// What people read when their device asks them.
const NAME: &str = "Accounts Center";

/// We, as authenticators know us.
pub struct RelyingParty(Webauthn);

/// What a passkey has to sign, and what its signature is checked by. Kept sealed, and shown in part.
#[derive(Serialize, Deserialize)]
pub(super) struct Challenge {
    pub options: PublicKeyCredentialRequestOptions,
    state: DiscoverableAuthentication,
}

impl RelyingParty {
    /// The one that is configured; `None` where there are no passkeys.
    ///
    /// # Errors
    /// Names the setting at fault.
    pub fn of(config: &config::Passkeys) -> anyhow::Result<Option<Self>> {
        if config.rp_id.is_empty() {
            return Ok(None);
        }
        let origins = config.parsed_origins()?;
        let (first, others) = origins.split_first().context("passkeys.origins is empty")?;
        let mut builder = WebauthnBuilder::new(&config.rp_id, first)
            .with_context(|| format!("passkeys.rp_id is {:?}, which is not of {first}", config.rp_id))?
            .rp_name(NAME);
        for origin in others {
            builder = builder.append_allowed_origin(origin);
        }
        Ok(Some(Self(builder.build().context("passkeys")?)))
    }

    /// What an authenticator needs to make a passkey for `account`, whose owner it knows as `name`; none that has one of
    /// `existing` makes another.
    pub(super) fn begin_registration(
        &self,
        account: Uuid,
        name: &str,
        existing: Vec<CredentialID>,
    ) -> anyhow::Result<(PublicKeyCredentialCreationOptions, PasskeyRegistration)> {
        let (begun, state) = self.0.start_passkey_registration(account, name, name, Some(existing))?;
        let mut options = begun.public_key;
        // We sign people in without knowing who comes, so the credential has to be one that its authenticator can find.
        if let Some(selection) = &mut options.authenticator_selection {
            selection.require_resident_key = true;
            selection.resident_key = Some(ResidentKeyRequirement::Required);
        }
        Ok((options, state))
    }

    /// The credential that an authenticator has made.
    pub(super) fn finish_registration(
        &self,
        made: &RegisterPublicKeyCredential,
        state: &PasskeyRegistration,
    ) -> Result<Passkey, WebauthnError> {
        self.0.finish_passkey_registration(made, state)
    }

    /// A challenge that any passkey can meet, or `only` this one. User verification is required: a passkey is all that a
    /// person shows.
    pub(super) fn challenge(&self, only: Option<&Passkey>) -> anyhow::Result<Challenge> {
        let (begun, state) = self.0.start_discoverable_authentication()?;
        let mut options = begun.public_key;
        options.allow_credentials = only
            .map(|passkey| AllowCredentials {
                type_: "public-key".to_owned(),
                id: passkey.cred_id().clone(),
                transports: None,
            })
            .into_iter()
            .collect();
        Ok(Challenge { options, state })
    }

    /// Whether `signed` is what `passkey` says to `challenge`: to one of our origins, by our name, with its owner
    /// verified. A counter that has not risen refuses as well: the specification (WebAuthn Level 3, 7.2) takes it for a
    /// sign of a copied authenticator and leaves it to us what comes of that. Synchronised passkeys say 0 for ever, which
    /// is no counter.
    pub(super) fn check(
        &self,
        signed: &PublicKeyCredential,
        challenge: Challenge,
        passkey: &Passkey,
    ) -> Result<AuthenticationResult, WebauthnError> {
        self.0.finish_discoverable_authentication_v2(signed, challenge.state, passkey)
    }
}
