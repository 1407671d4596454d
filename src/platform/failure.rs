//! How a call to a platform fails, and what becomes of the job that made it.

use chrono::TimeDelta;
use reqwest::StatusCode;

use crate::store::JobError;

/// How a call failed. Its text names the platform's status and never what was sent.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// 404: the platform does not know the handle or profile.
    #[error("the platform does not know it")]
    NotFound,
    /// The platform will not do this, however often it is asked.
    #[error("the platform refused it with status {0}")]
    Refused(StatusCode),
    /// An operator has switched the platform off.
    #[error("an operator has switched it off")]
    SwitchedOff,
    /// It was not called, or asks for time: not before so long.
    #[error("the platform is not called now: {0}")]
    NotNow(&'static str, TimeDelta),
    /// No answer, or none that makes sense: later it may.
    #[error("the platform is not available: {0}")]
    Unavailable(String),
}

impl PlatformError {
    /// For a job that what stands in its way must not kill: it waits for as long as that takes.
    pub fn waits(self) -> JobError {
        match self {
            Self::NotNow(_, pause) => JobError::Later(self.to_string(), pause),
            other => JobError::Wait(other.to_string()),
        }
    }

    /// Whether it says something of how the platform is.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::NotNow(..))
    }
}

/// For a job that has its tries, and no more.
impl From<PlatformError> for JobError {
    fn from(error: PlatformError) -> Self {
        match error {
            PlatformError::NotNow(..) | PlatformError::SwitchedOff => error.waits(),
            PlatformError::Unavailable(_) => Self::Retry(error.to_string()),
            PlatformError::NotFound | PlatformError::Refused(_) => Self::GiveUp(error.to_string()),
        }
    }
}
