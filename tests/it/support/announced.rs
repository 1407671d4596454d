//! Whether an account is told of each of its sessions and warned of what may not be its owner's doing, once and in
//! its place.

use accounts_center::link_graph::event::LinkStatusChanged;
use accounts_center::link_graph::graphql::LinkStatus;
use accounts_center::security::event::AlertRaised;
use accounts_center::session::event::SessionChanged;
use accounts_center::store::StreamEvent;
use accounts_center_entity::{event, security_alert, session};
use sea_orm::{ColumnTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// What an alert warns of: its kind, and the session or the profile.
type Warning = (&'static str, Uuid);

/// The events of an account from the first one on, and the rows that they are about.
pub struct Announced {
    events: Vec<event::Model>,
    sessions: Vec<session::Model>,
    alerts: Vec<security_alert::Model>,
}

impl Announced {
    pub async fn read(db: &DatabaseConnection, account: Uuid) -> Self {
        let events = event::Entity::find()
            .filter(event::Column::StreamId.eq(account))
            .order_by_asc(event::Column::Number);
        let sessions = session::Entity::find().filter(session::Column::AccountId.eq(account));
        let alerts = security_alert::Entity::find().filter(security_alert::Column::AccountId.eq(account));
        Self {
            events: events.all(db).await.unwrap(),
            sessions: sessions.all(db).await.unwrap(),
            alerts: alerts.all(db).await.unwrap(),
        }
    }

    /// What is wrong with them.
    pub fn complaint(&self) -> Option<String> {
        self.complaint_of_sessions().or_else(|| self.complaint_of_alerts())
    }

    /// Each session was opened in one event, and ended in one behind that if it has ended.
    fn complaint_of_sessions(&self) -> Option<String> {
        let told = self.events.iter().filter_map(parsed::<SessionChanged>);
        let mut told: Vec<_> = told.map(|changed| (changed.session, changed.ended.is_some())).collect();
        let mut due = Vec::new();
        for session in &self.sessions {
            due.push((session.id, false));
            due.extend(session.revoked_at.map(|_| (session.id, true)));
        }
        // Stable: what is told of one session stays in its order.
        told.sort_by_key(|(session, _)| *session);
        due.sort_by_key(|(session, _)| *session);
        (told != due)
            .then(|| format!("sessions and whether they end: the events say {told:?}, the rows {due:?}"))
    }

    /// Right behind each event that its owner may not have caused is its alert, and there is no other alert.
    fn complaint_of_alerts(&self) -> Option<String> {
        // What makes the account ends with its first session, and nobody is warned of it.
        let made = self.events.iter().position(|event| event.kind == SessionChanged::KIND);
        let (mut due, mut raised): (Option<Warning>, Vec<Uuid>) = (None, Vec::new());
        for event in self.events.iter().skip(made.map_or(0, |last| last + 1)) {
            let number = event.number;
            let alert = parsed::<AlertRaised>(event).map(|raised| raised.alert);
            match (due.take(), alert) {
                (Some(warning), Some(alert)) if self.warns_of(alert, warning) => raised.push(alert),
                (None, None) => due = warning(event),
                (due, alert) => {
                    return Some(format!("event {number} is the alert {alert:?}; due was {due:?}"));
                }
            }
        }
        if let Some(due) = due {
            return Some(format!("the last event has no alert, and should have {due:?}"));
        }
        let mut rows: Vec<Uuid> = self.alerts.iter().map(|alert| alert.id).collect();
        rows.sort_unstable();
        raised.sort_unstable();
        (raised != rows).then(|| format!("the events raise {raised:?}; the rows are {rows:?}"))
    }

    fn warns_of(&self, alert: Uuid, (kind, subject): Warning) -> bool {
        let Some(row) = self.alerts.iter().find(|row| row.id == alert) else { return false };
        let of = if kind == "NEW_SIGN_IN" { row.session_id } else { row.profile_id };
        row.kind == kind && of == Some(subject)
    }
}

/// What an event has to be followed by a warning of.
fn warning(event: &event::Model) -> Option<Warning> {
    if let Some(changed) = parsed::<SessionChanged>(event) {
        return changed.ended.is_none().then_some(("NEW_SIGN_IN", changed.session));
    }
    let changed = parsed::<LinkStatusChanged>(event)?;
    let kind = match (changed.previous, changed.status) {
        (None, _) => "PROFILE_LINKED",
        (_, LinkStatus::Contained) => "PROFILE_CONTAINED",
        (_, LinkStatus::Unlinking) => "PROFILE_UNLINKED",
        (Some(before), LinkStatus::Unlinked) if before != LinkStatus::Unlinking => "PROFILE_UNLINKED",
        _ => return None,
    };
    Some((kind, changed.profile))
}

/// What an event says, if it is of this kind.
fn parsed<E: StreamEvent + DeserializeOwned>(event: &event::Model) -> Option<E> {
    (event.kind == E::KIND).then(|| serde_json::from_value(event.payload.clone()).expect("an event of ours"))
}
