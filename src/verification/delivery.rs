//! The job that makes a code and sends it, after the answer has gone out.

use accounts_center_entity::verification::{self, Purpose, Status};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::error::Error;
use crate::platform::{CodeDelivery, PlatformError, ProfileClaim, Recipient};
use crate::profile;
use crate::store::{Command, Job, JobError, Outcome};

/// Send code number `number` of a verification.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeliverCode {
    pub verification: Uuid,
    pub number: i32,
}

impl Job for DeliverCode {
    const KIND: &'static str = "deliver_code";
}

/// Runs [`DeliverCode`]. Running it again sends nothing twice: the code is the same, and so is the key under
/// which the platform remembers it.
pub async fn deliver(app: &App, job: DeliverCode) -> Result<(), JobError> {
    let Some(row) = verification::Entity::find_by_id(job.verification)
        .one(app.store.db().read())
        .await
        .map_err(Error::from)?
    else {
        return Ok(());
    };
    if !is_wanted(app, &row, job.number) {
        return Ok(());
    }
    let Some(to) = recipient(app, &row).await? else { return Ok(()) };
    // Another worker may have it: while a new configuration is rolled out they differ.
    let platform = app
        .platforms
        .get(&row.platform)
        .ok_or_else(|| JobError::Retry(format!("platforms.{} is not configured", row.platform)))?;

    let code = app.keys.one_time_code(row.id, job.number);
    let hash = app.keys.code_hash(row.id, job.number, &code).to_vec();
    // Before it is sent, or a fast person could type it before it is good.
    set(app, &row, job.number, vec![(verification::Column::CodeHash, Expr::val(hash))]).await?;
    let delivery = CodeDelivery {
        to: &to,
        code: &code,
        purpose: purpose(row.purpose),
        expires_at: row.expires_at,
        locale: "en",
    };
    let key = format!("{}-{}", row.id.simple(), job.number);
    let external_id = match platform.client.send_code(&delivery, &key).await {
        Ok(external_id) => external_id,
        // Known to us alone. Its tries run out like those of any other.
        Err(PlatformError::NotFound) => return Ok(()),
        // What anybody may type must not fill the queue with dead jobs.
        Err(PlatformError::Refused(status)) => {
            tracing::warn!(platform = %platform.key, %status, "a one-time code was refused");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let claim = match platform.client.going_on().profile(&external_id).await {
        Ok(claim) if claim.external_id == external_id => claim,
        Ok(_) => return Err(JobError::Retry("the platform answered with another profile".into())),
        // By the contract failures to be tried again, and never taken for deleted.
        Err(error @ (PlatformError::NotFound | PlatformError::Refused(_))) => {
            return Err(JobError::Retry(error.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let sealed_claim = seal_claim(app, row.id, &claim)?;
    let who = vec![
        (verification::Column::ExternalId, Expr::val(external_id)),
        (verification::Column::SealedClaim, Expr::val(sealed_claim)),
    ];
    set(app, &row, job.number, who).await
}

/// To whom the code goes: what the caller typed, or the stored profile that is proved again. `None` if that is not
/// linked any more, or the verification has ended.
async fn recipient(app: &App, row: &verification::Model) -> Result<Option<Recipient>, JobError> {
    if let (Some(account), Some(profile)) = (row.account_id, row.profile_id) {
        let found = profile::find_linked(app.store.db().read(), account, profile).await?;
        return Ok(found.map(|profile| Recipient::ExternalId(profile.external_id)));
    }
    let Some(sealed) = &row.sealed_handle else { return Ok(None) };
    let handle = app.keys.open(row.id, sealed).map_err(|error| JobError::GiveUp(error.to_string()))?;
    let handle = String::from_utf8(handle).map_err(|_| JobError::GiveUp("a handle is no text".into()))?;
    Ok(Some(Recipient::Handle(handle)))
}

fn is_wanted(app: &App, row: &verification::Model, number: i32) -> bool {
    row.status == Status::Pending && row.code_number == number && row.expires_at > app.clock.now()
}

fn seal_claim(app: &App, verification: Uuid, claim: &ProfileClaim) -> Result<Vec<u8>, JobError> {
    let plain = serde_json::to_vec(claim).map_err(|error| JobError::GiveUp(error.to_string()))?;
    app.keys.seal(&app.ids, verification, &plain).map_err(|error| JobError::Retry(error.to_string()))
}

/// Sets columns of the verification, if this code is still the good one.
async fn set(
    app: &App,
    row: &verification::Model,
    number: i32,
    values: Vec<(verification::Column, Expr)>,
) -> Result<(), JobError> {
    let done = app
        .store
        .command(row.stream_id, async |command: &mut Command| {
            let mut update = verification::Entity::update_many();
            for (column, value) in values {
                update = update.col_expr(column, value);
            }
            update
                .filter(verification::Column::Id.eq(row.id))
                .filter(verification::Column::Status.eq(Status::Pending))
                .filter(verification::Column::CodeNumber.eq(number))
                .exec(command.tx())
                .await?;
            Ok(Outcome::Commit(()))
        })
        .await?;
    debug_assert!(done.is_ok(), "nothing here is rejected");
    Ok(())
}

fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Link => "LINK",
        Purpose::Reverify => "REVERIFY",
        Purpose::StepUp => "STEP_UP",
        Purpose::SignIn => "SIGN_IN",
    }
}
