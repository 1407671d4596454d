//! GraphQL over HTTP, and what is not quite that.

use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::support::on_both_stacks;

const QUERY: &str = r#"{"query": "{ platforms { key } }"}"#;

on_both_stacks! {
    async fn a_post_runs_only_json(place: Place) {
        let app = place.app().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("{}/graphql", app.url);
        let send = |method: Method, content_type: &str, body: Vec<u8>| {
            let request = http.request(method, &url).header(header::CONTENT_TYPE, content_type).body(body);
            async move { request.send().await.unwrap() }
        };
        let json = "application/json";
        let good = send(Method::POST, "application/json; charset=utf-8", QUERY.into()).await;
        assert_eq!(good.status(), 200);
        assert_eq!(good.headers()[header::CONTENT_TYPE], "application/graphql-response+json");
        assert_eq!(good.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(good.text().await.unwrap(), r#"{"data":{"platforms":[{"key":"whatsapp"},{"key":"facebook"},{"key":"instagram"}]}}"#);
        // What a foreign page's form can send without asking (S33).
        for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
            let refused = send(Method::POST, content_type, QUERY.into()).await;
            assert_eq!(refused.status(), 415, "{content_type}");
        }
        for (body, status) in [
            (b"".to_vec(), 400),
            (b"{".to_vec(), 400),
            (b"\xff\xfe".to_vec(), 400),
            (format!("[{QUERY},{QUERY}]").into_bytes(), 400),
            (b"{\"query\": 1}".to_vec(), 400),
            (vec![b' '; 1 << 20], 413),
            (format!("{{\"query\": \"{}\"}}", "a ".repeat(600_000)).into_bytes(), 413),
        ] {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let refused = send(Method::POST, json, body).await;
            assert_eq!(refused.status(), status, "{shown}");
            let error: Value = refused.json().await.unwrap();
            assert_eq!(error["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{shown}");
            assert_eq!(error.get("data"), None);
        }
    }

    async fn operators_can_count(place: Place) {
        let app = place.app().await;
        app.hears().await;
        let ada = app.client().sign_in(&place, "+4917139200042").await.client;
        let _tab = ada.socket().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = http.get(format!("{}/metrics", app.url)).send().await.unwrap();
        assert!(answer.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text"));
        let text = answer.text().await.unwrap();
        for line in ["accounts_center_link_graph_reads_total{layer=\"database\"} 1", "accounts_center_sockets 1",
            "accounts_center_bus_heard 1", "accounts_center_streams_followed 0"] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        // Numbers and names of ours, and nobody's data.
        assert!(!text.contains("wa_ada") && !text.contains("4917"));
    }

    async fn the_answer_has_the_media_type_that_was_asked_for(place: Place) {
        let app = place.app().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let ask = |accept: &'static str, body: &'static str| {
            let request = http.post(format!("{}/graphql", app.url)).header(header::ACCEPT, accept);
            let request = request.header(header::CONTENT_TYPE, "application/json").body(body);
            async move { request.send().await.unwrap() }
        };
        let invalid = r#"{"query": "{ nope }"}"#;
        for (accept, media_type, status) in [
            ("*/*", "application/graphql-response+json", 400),
            ("application/json", "application/json", 200),
            ("application/json;q=0.8, application/graphql-response+json", "application/graphql-response+json", 400),
            ("application/json, application/graphql-response+json;q=0.9", "application/json", 200),
            ("application/graphql-response+json;q=0, application/json", "application/json", 200),
            ("text/html, */*;q=0.1", "application/graphql-response+json", 400),
        ] {
            let answer = ask(accept, invalid).await;
            assert_eq!(answer.headers()[header::CONTENT_TYPE], media_type, "{accept}");
            assert_eq!(answer.status(), status, "{accept}");
            let body: Value = answer.json().await.unwrap();
            assert_eq!(body.get("data"), None, "a request that was not executed has no data");
            assert_eq!(body["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
        }
        for neither in ["text/html", "application/json;q=0"] {
            assert_eq!(ask(neither, invalid).await.status(), StatusCode::NOT_ACCEPTABLE, "{neither}");
        }
    }

    async fn what_is_too_large_to_execute_is_refused_with_a_code(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let deep = (0..20).fold("{ name }".to_owned(), |inner, _| format!("{{ fields {{ type {inner} }} }}"));
        let deep = format!("{{ __schema {{ types {deep} }} }}");
        let wide: String = (0..60).map(|n| format!("a{n}: platforms {{ id }} ")).collect();
        let directives = "@include(if: true) ".repeat(30);
        let round = (0..6).fold("{ id }".to_owned(), |inner, _| format!("{{ profiles {{ account {inner} }} }}"));
        // Small, and without end for whoever goes through a fragment wherever it is spread.
        let tripling = (0..28).map(|n| format!("fragment f{n} on Query {{ ...f{0} ...f{0} ...f{0} }} ", n + 1));
        let tripling = format!("{{ ...f0 }} {}fragment f28 on Query {{ __typename }}", tripling.collect::<String>());
        for operation in [
            tripling,
            deep,
            format!("{{ viewer {round} }}"),
            format!("{{ {wide} }}"),
            format!("{{ platforms {directives} {{ id }} }}"),
        ] {
            let answer = client.query(&operation).await;
            assert_eq!(answer.error_code(), "QUERY_TOO_COMPLEX", "{:#}", answer.body);
            assert_eq!(answer.status, 400);
        }
        // Small, and of an answer without measure.
        let bomb = (0..6).fold("name".to_owned(), |inner, _| format!("interfaces {{ possibleTypes {{ {inner} }} }}"));
        let bomb = client.query(&format!("{{ __type(name: \"Account\") {{ {bomb} }} }}")).await;
        assert_eq!(bomb.error_code(), "QUERY_TOO_COMPLEX");
        // What tools ask is answered.
        let tools = "{ __schema { types { name fields { name args { name type { name ofType { name } } } } } } }";
        client.query(tools).await.field();
        let circular = client.query("{ platforms { ...a } } fragment a on Platform { ...b } fragment b on Platform { ...a }").await;
        assert!(circular.body["errors"][0]["extensions"]["code"].is_string(), "{:#}", circular.body);
        let nested = client.query(&format!("{}{}", "{ a ".repeat(10_000), "}".repeat(10_000))).await;
        assert!(nested.body["errors"][0]["extensions"]["code"].is_string());
        // And the server lives.
        client.query("{ platforms { id } }").await.field();
    }

    async fn answers_are_in_the_order_of_the_operation_and_nulls_go_up(place: Place) {
        let app = place.app().await;
        let client = app.client();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        // As text: what has read it as JSON has forgotten the order.
        let text = async |query: &str, token: Option<&str>| {
            let request = http.post(format!("{}/graphql", app.url)).json(&json!({ "query": query }));
            let request = token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth);
            request.send().await.unwrap().text().await.unwrap()
        };
        let ordered = text("{ b: platforms { key id } a: platform(key: \"whatsapp\") { displayName key } }", None).await;
        let platforms = ["whatsapp", "facebook", "instagram"].map(|key| format!(r#"{{"key":"{key}","id":"platform_{key}"}}"#));
        let wanted = r#"{"data":{"b":[PLATFORMS],"a":{"displayName":"WhatsApp","key":"whatsapp"}}}"#;
        assert_eq!(ordered, wanted.replace("PLATFORMS", &platforms.join(",")));
        // A field that must not be null takes what is around it with it, up to where null may stand, and no part of it
        // stays.
        let ada = client.sign_in(&place, "+4917139200042").await;
        let db = place.database().await;
        sea_orm::ConnectionTrait::execute_unprepared(&db, "UPDATE linked_profile SET platform = 'No key'").await.unwrap();
        app.app().graphs.forget();
        let failed = text("{ viewer { displayName profiles { handle platform { key } } } b: platforms { key } }", ada.client.token.as_deref()).await;
        assert!(failed.contains(r#""data":{"viewer":null,"b":[{"key":"whatsapp"},{"key":"facebook"},{"key":"instagram"}]}"#), "{failed}");
        let errors: Value = serde_json::from_str(&failed).unwrap();
        assert_eq!(errors["errors"].as_array().unwrap().len(), 1, "{failed}");
        assert_eq!(errors["errors"][0]["extensions"]["code"], "INTERNAL");
    }

    async fn a_missing_variable_stops_the_whole_operation(place: Place) {
        let app = place.app().await;
        let operation = "mutation($handle: String!, $x: SubmitVerificationInput!) {
            startSignIn(input: { platform: \"whatsapp\", proof: { oneTimeCode: { handle: $handle } } }) { userErrors { code } }
            submitVerification(input: $x) { userErrors { code } } }";
        for variables in [json!({ "handle": "+4917139200042" }), json!({ "handle": "+4917139200042", "x": null })] {
            let refused = app.client().run(operation, variables).await;
            assert_eq!(refused.error_code(), "GRAPHQL_VALIDATION_FAILED");
            assert_eq!((refused.status.as_u16(), refused.body.get("data")), (400, None));
        }
        use sea_orm::{EntityTrait, PaginatorTrait};
        let started = accounts_center_entity::verification::Entity::find().count(&place.database().await).await;
        assert_eq!(started.unwrap(), 0, "nothing has happened");
    }

    async fn secrets_come_from_variables_only(place: Place) {
        let app = place.app().await;
        let client = app.client();
        for document in [
            "{ verification(id: \"x\", clientSecret: \"hush\") { id } }",
            "query($s: Secret = \"hush\") { verification(id: \"x\", clientSecret: $s) { id } }",
        ] {
            let refused = client.query(document).await;
            assert_eq!(refused.error_code(), "BAD_USER_INPUT");
            assert_eq!(refused.status, 400);
            assert!(!refused.body.to_string().contains("hush"), "{}", refused.body);
        }
        // Of the wrong type it is not quoted either.
        let document = "query($s: Secret) { verification(id: \"x\", clientSecret: $s) { id } }";
        let refused = client.run(document, json!({ "s": ["hush"] })).await;
        assert!(!refused.body.to_string().contains("hush"), "{}", refused.body);
        assert!(refused.body["errors"].is_array());
    }

    async fn development_mode_answers_to_this_machine_only(place: Place) {
        let app = place.app().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        for (host, status) in [("127.0.0.1", 200), ("localhost:80", 200), ("evil.example", 421), ("127.0.0.1.evil.example", 421)] {
            let answer = http.get(format!("{}/live", app.url)).header(header::HOST, host).send().await.unwrap();
            assert_eq!(answer.status(), status, "{host}");
        }
    }

    async fn the_explorer_needs_no_internet(place: Place) {
        let app = place.app().await;
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = http.get(&app.url).send().await.unwrap();
        let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'self'"), "{policy}");
        let text = page.text().await.unwrap();
        for part in text.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css")) {
            let file = http.get(format!("{}/{}", app.url, part.trim_start_matches('/'))).send().await.unwrap();
            assert_eq!(file.status(), 200, "{part}");
        }
        assert!(!text.contains("http://") && !text.contains("https://"), "the page names another server");
        // Without a demo account there is no sign-in by one click.
        assert_eq!(http.get(format!("{}/dev/sign-in", app.url)).send().await.unwrap().status(), 404);
    }
}
