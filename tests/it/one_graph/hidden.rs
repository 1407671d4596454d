//! What is `@inaccessible` beside what is guarded (S48), and guards of what an interface or a union stands for.

use serde_json::{Value, json};

use super::guards::{refused, told};
use super::join_with;
use crate::support::{Client, TestApp, on_both_stacks};

const ADA: &str = "+4917139200042";
const EVE: &str = "+4917139200050";
/// All that is hidden has a name with `shroud` in it.
const SDL: &str = r#"
extend schema @link(url: "https://specs.apollo.dev/federation/v2.7",
  import: ["@key", "@authenticated", "@requiresScopes", "@inaccessible"])
type LinkedProfile @key(fields: "platformKey externalId") {
  platformKey: PlatformKey!
  externalId: String!
  followers: Int @requiresScopes(scopes: [["followers"]])
  shroudedNotes: String @inaccessible
}
scalar PlatformKey
interface Media { id: ID! }
type Photo implements Media { id: ID! place: String @requiresScopes(scopes: [["followers"]]) shroudedPlace: String @inaccessible }
type Clip implements Media { id: ID! }
type ShroudedMedia implements Media @inaccessible { id: ID! }
enum Size { SMALL LARGE SHROUDED @inaccessible }
union Thing = Photo | Clip
type Query {
  greeting: String @authenticated
  shroudedGreeting: String @authenticated @inaccessible
  media: [Media]
  things(size: Size): [Thing]
  size: Size
}
"#;

/// What an operation is answered with, wherever the hidden could be told of.
async fn answers(client: &Client) -> Vec<(&'static str, Value)> {
    let mut answers = Vec::new();
    for query in [
        "{ __schema { types { name possibleTypes { name } enumValues { name } fields { name args { name } } } directives { name } } }",
        "{ __type(name: \"ShroudedMedia\") { name } }",
        "{ __type(name: \"LinkedProfile\") { fields(includeDeprecated: true) { name } } }",
        "{ __type(name: \"Media\") { possibleTypes { name } } }",
        "{ __type(name: \"Size\") { enumValues(includeDeprecated: true) { name } } }",
        // Near enough for a suggestion.
        "{ shroudedGreetin }",
        "{ greetin }",
        "{ viewer { profiles { shroudedNote followrs } } }",
        "{ media { ... on Photo { shroudedPlac plac } } }",
        "{ media { ... on ShroudedMedi { id } } }",
        "{ things(size: SHROUDE) { __typename } }",
    ] {
        answers.push((query, client.query(query).await.body));
    }
    answers
}

on_both_stacks! {
    async fn s48_nothing_tells_of_what_is_hidden(place: Place) {
        let mut place = place;
        let subgraph = join_with(&mut place, SDL).await;
        let app = place.app().await;
        let ada = app.client().sign_in(&place, ADA).await;
        for client in [&ada.client, &app.client()] {
            for (query, answer) in answers(client).await {
                // What the client itself has written may be said again, letter for letter.
                let said = answer.to_string();
                let words = said.split(|letter: char| !letter.is_ascii_alphanumeric());
                let told: Vec<&str> =
                    words.filter(|word| word.to_lowercase().contains("shroud") && !query.contains(word)).collect();
                assert!(told.is_empty(), "{query}: {told:?} in {answer:#}");
                assert!(answer.get("errors").is_some() || query.contains("__"), "{query}: {answer:#}");
            }
            let shown = client.query("{ __type(name: \"LinkedProfile\") { fields { name } } }").await.body.to_string();
            assert!(shown.contains("followers"), "what is guarded is there for all to see");
            // Nor is it a question of rights: nobody gets it, and it is not there.
            for query in ["{ shroudedGreeting }", "{ viewer { profiles { shroudedNotes } } }", "{ media { ... on ShroudedMedia { id } } }"] {
                let answer = client.query(query).await;
                assert_eq!(answer.error_code(), "GRAPHQL_VALIDATION_FAILED", "{query}");
            }
        }
        assert!(subgraph.calls().is_empty());
        // A subgraph may answer with it all the same.
        let media = json!([{ "__typename": "ShroudedMedia", "id": "1" }]);
        subgraph.answer_instead(json!({ "data": { "size": "SHROUDED", "media": media } }));
        let answer = ada.client.query("{ size media { __typename id } }").await.body;
        assert_eq!(answer["data"], json!({ "size": null, "media": [null] }), "{answer:#}");
        assert!(!answer.to_string().to_lowercase().contains("shroud"), "{answer:#}");
    }

    async fn a_guard_of_a_member_is_refused_at_its_place(place: Place) {
        let mut place = place;
        let subgraph = join_with(&mut place, SDL).await;
        place.sandbox.add_profile("wa_eve", EVE).await;
        let before = place.app().await;
        let ada = before.client().sign_in(&place, ADA).await;
        let eve = before.client().sign_in(&place, EVE).await;
        before.stop().await;
        place.set("ACCOUNTS__SESSIONS__SCOPES__FOLLOWERS", &ada.account);
        let app = TestApp::start(&place, 2).await;
        let photo = json!({ "__typename": "Photo", "id": "1", "place": "here" });
        let clip = json!({ "__typename": "Clip", "id": "2" });
        let all = json!([clip, photo, clip, photo]);
        subgraph.answer_instead(json!({ "data": { "media": all, "things": all } }));
        for (field, query) in [
            ("media", "{ media { id ... on Photo { place } } }"),
            ("things", "{ things { ... on Media { id } ...P } } fragment P on Photo { place }"),
        ] {
            let full = ada.client.at(&app.url).query(query).await.body;
            let shown = |place: Value| json!([{ "id": "2" }, { "id": "1", "place": place }, { "id": "2" }, { "id": "1", "place": place }]);
            assert_eq!((&full["data"][field], full.get("errors")), (&shown(json!("here")), None), "{full:#}");
            subgraph.calls();
            for (client, code) in [(eve.client.at(&app.url), "FORBIDDEN"), (app.client(), "UNAUTHENTICATED")] {
                let less = client.query(query).await.body;
                assert_eq!(less["data"][field], shown(Value::Null), "{less:#}");
                let places = [1, 3].map(|number| told(json!([field, number, "place"]), code));
                assert_eq!(refused(&less), places, "{less:#}");
                for call in subgraph.calls() {
                    assert!(!call.body["query"].as_str().unwrap().contains("place"), "{call:?}");
                }
            }
        }
    }
}
