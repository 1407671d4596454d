//! Starting a verification: a row, and a job that delivers the code after the answer.

use std::net::IpAddr;
use std::sync::Arc;

use accounts_center_entity::linked_profile;
use accounts_center_entity::verification::{self, Method, Purpose, Status};
use chrono::TimeDelta;
use sea_orm::{ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use uuid::Uuid;

use super::allowance::{self, Recipient};
use super::handle::Handle;
use super::redirect::{Redirect, switched_off, unsupported};
use super::{CLIENT_SECRET, DeliverCode, EraseExpired};
use crate::app::App;
use crate::error::{AccountsErrorCode, Error, UserError, UserResult};
use crate::keys::new_secret;
use crate::link_graph::MAX_PROFILES;
use crate::platform::{Platform, mask_handle};
use crate::session::{self, Viewer};
use crate::store::{Command, IdempotencyUse, Outcome, StreamKind};

/// What a proof is for, and of which profile, where that is known before.
#[derive(Clone, Copy)]
pub(super) enum Aim<'a> {
    Link,
    SignIn,
    Reverify(&'a linked_profile::Model),
    StepUp(&'a linked_profile::Model),
}

impl<'a> Aim<'a> {
    fn purpose(self) -> Purpose {
        match self {
            Self::Link => Purpose::Link,
            Self::SignIn => Purpose::SignIn,
            Self::Reverify(_) => Purpose::Reverify,
            Self::StepUp(_) => Purpose::StepUp,
        }
    }

    fn profile(self) -> Option<&'a linked_profile::Model> {
        match self {
            Self::Link | Self::SignIn => None,
            Self::Reverify(profile) | Self::StepUp(profile) => Some(profile),
        }
    }
}

/// How the caller wants to prove control.
#[derive(Clone, Copy)]
pub enum ProofStart<'a> {
    /// By a code to what the caller at this address has typed.
    OneTimeCode {
        handle: &'a str,
        address: Option<IpAddr>,
    },
    OAuth {
        redirect_uri: &'a str,
    },
}

/// How control is proved, with what that needs from the start on.
pub(super) enum Way {
    /// To what the caller typed; absent where the aim has the profile.
    Code(Option<Typed>),
    OAuth(Redirect),
}

/// A handle, and from where somebody typed it.
pub(super) struct Typed {
    handle: Handle,
    address: Option<IpAddr>,
}

impl Way {
    pub fn method(&self) -> Method {
        match self {
            Self::Code(_) => Method::OneTimeCode,
            Self::OAuth(_) => Method::Oauth,
        }
    }

    /// What the same request again has to be the same in.
    fn identity(&self) -> &str {
        match self {
            Self::Code(typed) => typed.as_ref().map_or("", |typed| typed.handle.as_str()),
            Self::OAuth(redirect) => &redirect.redirect_uri,
        }
    }
}

/// A verification about to be started, and who it belongs to.
pub(super) struct NewVerification<'a> {
    pub id: Uuid,
    pub aim: Aim<'a>,
    pub platform: &'a Platform,
    pub way: &'a Way,
    pub stream: Uuid,
    pub viewer: Option<Viewer>,
    pub client_secret_hash: Option<Vec<u8>>,
}

impl NewVerification<'_> {
    /// Whom codes go to, if there are any.
    fn recipient(&self) -> Option<Recipient<'_>> {
        match self.way {
            Way::Code(Some(typed)) => Some(Recipient::Handle(typed.handle.as_str(), typed.address)),
            Way::Code(None) => self.aim.profile().map(Recipient::Own),
            Way::OAuth(_) => None,
        }
    }
}

/// Starts a sign-in of a signed-out device. Gives the verification and the secret that it is watched and
/// finished with.
pub async fn start_sign_in(
    app: &App,
    platform: &str,
    proof: ProofStart<'_>,
) -> UserResult<(verification::Model, String)> {
    let (platform, way) = match prepare(app, platform, proof).await {
        Ok(target) => target,
        Err(error) => return Ok(Err(vec![error])),
    };
    if !platform.sign_in {
        let message = format!("{} cannot be used to sign in.", platform.display_name);
        let error = UserError::new(AccountsErrorCode::UnsupportedByPlatform, message, &["platform"]);
        return Ok(Err(vec![error]));
    }
    let client_secret = new_secret(&app.ids);
    let id = app.ids.uuid(app.clock.now());
    let new = NewVerification {
        id,
        aim: Aim::SignIn,
        platform: &platform,
        way: &way,
        stream: id,
        viewer: None,
        client_secret_hash: Some(app.keys.hash(CLIENT_SECRET, client_secret.as_bytes()).to_vec()),
    };
    let started = app
        .store
        .create(id, StreamKind::Verification, async |command: &mut Command| insert(app, command, new).await)
        .await?;
    Ok(started.map(|row| (row, client_secret)))
}

/// Starts to link a profile to the viewer's account.
pub async fn start_link(
    app: &App,
    viewer: Viewer,
    platform: &str,
    proof: ProofStart<'_>,
    idempotency_key: &str,
) -> UserResult<verification::Model> {
    let (platform, way) = match prepare(app, platform, proof).await {
        Ok(target) => target,
        Err(error) => return Ok(Err(vec![error])),
    };
    if let Err(error) = check_key(idempotency_key) {
        return Ok(Err(vec![error]));
    }
    let input = format!("{}\0{}", platform.key, way.identity());
    let usage =
        IdempotencyUse { operation: "startProfileLink", key: idempotency_key, input: input.as_bytes() };
    app.store
        .command(viewer.account, async |command: &mut Command| {
            let session = session::check(command, viewer).await?;
            match command.made_before(&app.keys, &usage).await? {
                Err(errors) => return Ok(Outcome::CommitAndReject(errors)),
                Ok(Some(id)) => return Ok(Outcome::Commit(existing(command, id).await?)),
                Ok(None) => {}
            }
            session::check_fresh(command, &session, &app.config.sessions).await?;
            if working_profiles(command, viewer.account).await? >= MAX_PROFILES {
                let message = format!("An account links at most {MAX_PROFILES} profiles; unlink one first.");
                let error = UserError::new(AccountsErrorCode::LimitReached, message, &[]);
                return Ok(Outcome::reject(error));
            }
            let id = command.new_id();
            let new = NewVerification {
                id,
                aim: Aim::Link,
                platform: &platform,
                way: &way,
                stream: viewer.account,
                viewer: Some(viewer),
                client_secret_hash: None,
            };
            let inserted = insert(app, command, new).await?;
            if matches!(inserted, Outcome::Commit(_)) {
                command.remember(&app.keys, &usage, id).await?;
            }
            Ok(inserted)
        })
        .await
}

/// How many profiles of `account` a new proof could do nothing for: any other one may be the one that is going to
/// be proved again, and whether it is shows only at the end.
async fn working_profiles(command: &Command, account: Uuid) -> Result<u64, Error> {
    use accounts_center_entity::linked_profile::{Column, Entity, LinkStatus};
    Ok(Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Status.eq(LinkStatus::Active))
        .count(command.tx())
        .await?)
}

/// Whether `account` may link another profile.
pub async fn has_room(command: &Command, account: Uuid) -> Result<bool, Error> {
    Ok(linked_profiles(command, account).await? < MAX_PROFILES)
}

/// How many profiles `account` has linked.
async fn linked_profiles(command: &Command, account: Uuid) -> Result<u64, Error> {
    use accounts_center_entity::linked_profile::{Column, Entity, LinkStatus};
    Ok(Entity::find()
        .filter(Column::AccountId.eq(account))
        .filter(Column::Status.ne(LinkStatus::Unlinked))
        .count(command.tx())
        .await?)
}

async fn prepare(
    app: &App,
    platform: &str,
    proof: ProofStart<'_>,
) -> Result<(Arc<Platform>, Way), UserError> {
    let Some(platform) = app.platforms.get(platform) else {
        let known: Vec<_> = app.platforms.iter().map(|platform| platform.key.as_str()).collect();
        let message = format!("There is no such platform; there are: {}.", known.join(", "));
        return Err(UserError::new(AccountsErrorCode::UnknownPlatform, message, &["platform"]));
    };
    if platform.is_off() {
        return Err(switched_off(platform, &["platform"]));
    }
    let way = match proof {
        ProofStart::OneTimeCode { .. } if platform.method() != Method::OneTimeCode => {
            return Err(unsupported(platform, "one-time code"));
        }
        ProofStart::OneTimeCode { handle, address } => {
            let handle = Handle::parse(handle, &["proof", "oneTimeCode", "handle"])?;
            Way::Code(Some(Typed { handle, address }))
        }
        ProofStart::OAuth { redirect_uri } => {
            let path = ["proof", "oauth", "redirectUri"];
            Way::OAuth(Redirect::prepare(app, platform, redirect_uri, &path).await?)
        }
    };
    Ok((platform.clone(), way))
}

fn check_key(key: &str) -> Result<(), UserError> {
    if (1..=255).contains(&key.len()) {
        return Ok(());
    }
    let message = "An idempotency key has 1 to 255 characters, new for each request: a random UUID.";
    Err(UserError::new(AccountsErrorCode::Invalid, message, &["idempotencyKey"]))
}

async fn existing(command: &Command, id: Uuid) -> Result<verification::Model, Error> {
    verification::Entity::find_by_id(id)
        .one(command.tx())
        .await?
        .ok_or_else(|| Error::internal(anyhow::anyhow!("an idempotency record points nowhere")))
}

/// Why an account that starts one verification after the other has to finish some first.
pub(super) async fn too_many_pending(
    app: &App,
    command: &Command,
    viewer: Option<Viewer>,
) -> Result<Option<UserError>, Error> {
    use verification::{Column, Entity};
    let Some(viewer) = viewer else { return Ok(None) };
    let pending = Entity::find()
        .filter(Column::StreamId.eq(viewer.account))
        .filter(Column::Status.eq(Status::Pending))
        .filter(Column::ExpiresAt.gt(command.now()))
        .count(command.tx())
        .await?;
    let most = u64::from(app.config.verification.pending_per_account);
    if pending < most {
        return Ok(None);
    }
    let message = format!("{most} verifications wait for their proof; finish or cancel some of them first.");
    Ok(Some(UserError::new(AccountsErrorCode::LimitReached, message, &[])))
}

/// Writes a verification, and leaves the job that delivers its first code, if it has codes; TOO_MANY_ATTEMPTS where so
/// many were sent there already.
pub(super) async fn insert(
    app: &App,
    command: &mut Command,
    new: NewVerification<'_>,
) -> Result<Outcome<verification::Model>, Error> {
    if let Some(error) = too_many_pending(app, command, new.viewer).await? {
        return Ok(Outcome::reject(error));
    }
    if let Some(recipient) = new.recipient()
        && let Some(error) = allowance::take(app, command, (new.platform.key.as_str(), recipient)).await?
    {
        return Ok(Outcome::reject(error));
    }
    let now = command.now();
    let settings = &app.config.verification;
    let seal = |handle: &Handle| app.keys.seal(&app.ids, new.id, handle.as_str().as_bytes());
    let (handle, redirect) = match new.way {
        Way::Code(typed) => (typed.as_ref().map(|typed| &typed.handle), None),
        Way::OAuth(redirect) => (None, Some(redirect)),
    };
    let has_codes = redirect.is_none();
    let sealed = handle.map(seal).transpose().map_err(Error::internal)?;
    let profile = new.aim.profile();
    // What is stored of a profile is masked already.
    let destination = handle.map(|handle| mask_handle(handle.as_str()));
    let destination = destination.or_else(|| profile.map(|profile| profile.handle.clone()));
    let row = verification::ActiveModel {
        id: Set(new.id),
        stream_id: Set(new.stream),
        purpose: Set(new.aim.purpose()),
        method: Set(new.way.method()),
        platform: Set(new.platform.key.to_string()),
        account_id: Set(new.viewer.map(|viewer| viewer.account)),
        session_id: Set(new.viewer.map(|viewer| viewer.session)),
        client_secret_hash: Set(new.client_secret_hash),
        status: Set(Status::Pending),
        failure: Set(None),
        profile_id: Set(profile.map(|profile| profile.id)),
        destination: Set(destination.unwrap_or_default()),
        sealed_handle: Set(sealed),
        external_id: Set(None),
        sealed_claim: Set(None),
        code_number: Set(1),
        code_hash: Set(None),
        attempts_left: Set(settings.attempts.into()),
        resend_available_at: Set((has_codes && settings.codes > 1)
            .then(|| now + TimeDelta::seconds(settings.resend_seconds.into()))),
        authorization_endpoint: Set(redirect.map(|redirect| redirect.authorization_endpoint.clone())),
        redirect_uri: Set(redirect.map(|redirect| redirect.redirect_uri.clone())),
        redeemed_at: Set(None),
        sealed_challenge: Set(None),
        passkey_id: Set(None),
        created_at: Set(now),
        expires_at: Set(now + TimeDelta::minutes(settings.code_minutes.into())),
    }
    .insert(command.tx())
    .await?;
    if has_codes {
        command.enqueue(&DeliverCode { verification: new.id, number: 1 })?;
    }
    command.enqueue_at(&EraseExpired { verification: new.id }, row.expires_at)?;
    Ok(Outcome::Commit(row))
}
