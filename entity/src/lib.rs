//! The rows of the database as SeaORM models, and nothing else: no rule, no query.
//!
//! Ids are UUIDs (version 7), instants are UTC with millisecond precision, and enums are stored as
//! the names that the public schema has for them, so that a row reads like an answer.

pub mod account;
pub mod account_lock;
pub mod activity;
pub mod code_allowance;
pub mod deployment;
pub mod dismissed_suggestion;
pub mod event;
pub mod event_purge;
pub mod experience_grant;
pub mod idempotency_record;
pub mod job;
pub mod job_stream;
pub mod kill_switch;
pub mod linked_profile;
pub mod passkey;
pub mod passkey_registration;
pub mod profile_claim;
pub mod profile_connection;
pub mod profile_containment;
pub mod profile_privacy;
pub mod profile_refresh;
pub mod security_alert;
pub mod session;
pub mod stream;
pub mod verification;
pub mod webhook_receipt;
