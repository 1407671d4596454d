//! The accounts of a run, made by the application itself and not by hundreds of sign-ins.

use accounts_center::account::{self, NewProfile};
use accounts_center::app::App;
use accounts_center::error::Error;
use accounts_center::ids::{NodeId, NodeKind};
use accounts_center::link_graph::connection::set_grant;
use accounts_center::platform::{PlatformKey, ProfileClaim, ProfileState};
use accounts_center::session::{self, NewSession, OpenedWith, Viewer};
use accounts_center::store::{Command, Outcome, StreamKind};
use accounts_center_entity::experience_grant::Experience;
use uuid::Uuid;

use super::checks::{Account, PROFILES};

const PLATFORM: &str = "whatsapp";
/// So that something pauses when a profile is unlinked, also where nobody changes connections.
const CONNECTIONS: [(usize, usize, Experience); 3] =
    [(0, 1, Experience::CrossPosting), (1, 2, Experience::Messaging), (2, 0, Experience::CrossPosting)];

/// Makes an account with its profiles, some connections, and a session that the first profile has opened.
pub async fn account(app: &App, number: usize) -> Account {
    let id = app.ids.uuid(app.clock.now());
    let made = app.store.create(id, StreamKind::Account, async |command: &mut Command| {
        let profiles = link_profiles(command, id, number).await?;
        for (source, target, experience) in CONNECTIONS {
            let (source, target) = (profiles[source], profiles[target]);
            set_grant(command, source, target, experience, true).await?.expect("they are linked");
        }
        let opened_with = OpenedWith::Profile(profiles[0]);
        let new = NewSession { account: id, opened_with, device: None, ip_address: None };
        let session = session::open(app, command, new).await?.session;
        Ok(Outcome::Commit((profiles, session.id)))
    });
    let (profiles, session) = made.await.unwrap().unwrap();
    let token = app.tokens.sign(Viewer { account: id, session }, &app.ids).unwrap().token;
    let named = |id| (id, NodeId::new(NodeKind::LinkedProfile, id).to_string());
    Account::new(number, id, token, profiles.map(named))
}

async fn link_profiles(
    command: &mut Command,
    account: Uuid,
    number: usize,
) -> Result<[Uuid; PROFILES], Error> {
    let platform = PlatformKey::try_from(PLATFORM.to_owned()).unwrap();
    let mut profiles = [Uuid::nil(); PROFILES];
    for (n, id) in profiles.iter_mut().enumerate() {
        let claim = ProfileClaim {
            external_id: format!("history-{number}-{n}"),
            handle: format!("+4930{number:05}{n:02}"),
            display_name: format!("Person {number}"),
            avatar_url: None,
            state: ProfileState::Active,
        };
        let profile = NewProfile { platform: &platform, claim: &claim, sign_in_enabled: true };
        let made = match n {
            0 => account::fill(command, account, &profile).await?,
            _ => account::link(command, account, &profile).await?,
        };
        *id = made.ok_or(Error::Conflict)?.id;
    }
    Ok(profiles)
}
