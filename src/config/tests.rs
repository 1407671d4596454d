use secrecy::ExposeSecret;

use super::{Config, Offer};
use crate::platform::PlatformKey;
use crate::sandbox;

fn error(pairs: &[(&'static str, &str)]) -> String {
    let pairs = pairs.iter().map(|&(key, value)| (key, value.to_owned()));
    format!("{:#}", Config::from_pairs(pairs).and_then(Config::checked).unwrap_err())
}

#[test]
fn the_defaults_are_a_development_configuration() {
    let config = Config::from_pairs([]).unwrap();
    assert!(config.is_development() && config.is_embedded());
    assert_eq!(
        config.platforms.keys().map(PlatformKey::as_str).collect::<Vec<_>>(),
        ["whatsapp", "facebook", "instagram"]
    );
    let secret = config.platforms["whatsapp"].webhook_secret.expose_secret();
    assert_eq!(secret, sandbox::WEBHOOK_SECRET);
}

#[test]
fn what_a_platform_offers_is_what_is_listed() {
    let offers = |pairs: &[(&'static str, &str)]| {
        let pairs = pairs.iter().map(|&(key, value)| (key, value.to_owned()));
        Config::from_pairs(pairs).unwrap().platforms["whatsapp"].offers.clone()
    };
    assert_eq!(offers(&[]), None);
    let listed = offers(&[("ACCOUNTS__PLATFORMS__WHATSAPP__OFFERS", "notices,sessions")]);
    assert_eq!(listed, Some(vec![Offer::Notices, Offer::Sessions]));
    assert_eq!(offers(&[("ACCOUNTS__PLATFORMS__WHATSAPP__OFFERS", "")]), Some(Vec::new()));
}

#[test]
fn bad_settings_name_their_key_and_what_would_be_right() {
    let unknown = error(&[("ACCOUNTS__HTTP__LISTEM", "127.0.0.1:1")]);
    assert!(
        unknown.contains("http") && unknown.contains("listem") && unknown.contains("listen"),
        "{unknown}"
    );
    let address = error(&[("ACCOUNTS__HTTP__LISTEN", "nowhere")]);
    assert!(address.contains("http.listen"), "{address}");
    let number = error(&[("ACCOUNTS__VERIFICATION__ATTEMPTS", "many")]);
    assert!(number.contains("verification.attempts") && number.contains("it must be"), "{number}");
    let key = error(&[("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_much too short")]);
    assert!(key.contains("platforms.whatsapp.webhook_secret: it must be whsec_"), "{key}");
    assert!(!key.contains("much"), "{key}");
    let mode = error(&[("ACCOUNTS__MODE", "staging")]);
    assert!(mode.contains("mode") && mode.contains("development"), "{mode}");
    assert!(error(&[("ACCOUNTS__HTTP__LISTEN", "0.0.0.0:4000")]).contains("loopback"));
    assert!(error(&[("ACCOUNTS__KEYS__SECRET", "short")]).contains("keys.secret"));
    assert!(error(&[("ACCOUNTS__DATABASE__URL", "mysql://x")]).contains("database.url"));
    let offers = error(&[("ACCOUNTS__PLATFORMS__WHATSAPP__OFFERS", "notices, telepathy")]);
    assert!(
        offers.contains("platforms.whatsapp.offers: \"telepathy\" is none of: notices, privacy"),
        "{offers}"
    );
    assert!(error(&[("ACCOUNTS__PLATFORMS__WHATSAPP__CALLS_PER_SECOND", "0")]).contains("calls_per_second"));
    for page in ["account", "ftp://www.example.com/", "https://me@www.example.com/"] {
        assert!(error(&[("ACCOUNTS__NOTICES__ACTION_URL", page)]).contains("notices.action_url"), "{page}");
    }
    let unescaped = error(&[("ACCOUNTS__DATABASE__URL", "postgres://me:pass/word@db/accounts")]);
    assert!(unescaped.contains("escaped") && !unescaped.contains("word@"), "{unescaped}");
}

#[test]
fn s36_production_needs_its_secret_and_its_servers() {
    let with = |pairs: &[(&'static str, &str)]| {
        let mut all = vec![("ACCOUNTS__MODE", "production")];
        all.extend(pairs);
        error(&all)
    };
    let secret = ("ACCOUNTS__KEYS__SECRET", "0123456789abcdef0123456789abcdef");
    let database = ("ACCOUNTS__DATABASE__URL", "postgres://db/accounts");
    let redis = ("ACCOUNTS__REDIS__URL", "redis://cache/");
    let base_url = ("ACCOUNTS__PLATFORMS__WHATSAPP__BASE_URL", "https://whatsapp.example");
    let others = ["ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED"];
    let [facebook, instagram] = others.map(|key| (key, "false"));
    assert!(with(&[]).contains("keys.secret"));
    assert!(with(&[secret]).contains("database.url"));
    assert!(with(&[secret, database]).contains("redis.url"));
    assert!(with(&[secret, database, redis]).contains("demo.enabled"));
    assert!(with(&[secret, database, redis, ("ACCOUNTS__DEMO__ENABLED", "false")]).contains("base_url"));
    let sandboxed = [
        ("ACCOUNTS__DEMO__ENABLED", "false"),
        ("ACCOUNTS__SANDBOX__URL", "http://127.0.0.1:1"),
        secret,
        database,
        redis,
        base_url,
    ];
    assert!(with(&sandboxed).contains("sandbox.url"));
    let mut right = vec![("ACCOUNTS__MODE", "production".to_owned())];
    let credential = ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "from-the-platform");
    let webhook_secret =
        ("ACCOUNTS__PLATFORMS__WHATSAPP__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let demo = ("ACCOUNTS__DEMO__ENABLED", "false");
    assert!(with(&[secret, database, redis, base_url, credential, demo]).contains("webhook_secret"));
    right.extend(
        [secret, database, redis, base_url, credential, webhook_secret, demo].map(|(k, v)| (k, v.to_owned())),
    );
    right.extend([facebook, instagram].map(|(k, v)| (k, v.to_owned())));
    assert!(Config::from_pairs(right).and_then(Config::checked).is_ok());
}

/// What production needs for a platform that proves by OAuth, piece by piece; without each it says what is missing.
#[test]
fn s36_production_needs_a_whole_client_of_each_provider() {
    let mut pairs = vec![
        ("ACCOUNTS__MODE", "production"),
        ("ACCOUNTS__KEYS__SECRET", "0123456789abcdef0123456789abcdef"),
        ("ACCOUNTS__DATABASE__URL", "postgres://db/accounts"),
        ("ACCOUNTS__REDIS__URL", "redis://cache/"),
        ("ACCOUNTS__DEMO__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__BASE_URL", "https://facebook.example"),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__CREDENTIAL", "from-the-platform"),
        ("ACCOUNTS__PLATFORMS__FACEBOOK__WEBHOOK_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
    ];
    for (missing, pair) in [
        (
            "platforms.facebook.issuer",
            ("ACCOUNTS__PLATFORMS__FACEBOOK__ISSUER", "https://login.facebook.example"),
        ),
        ("platforms.facebook.client_id", ("ACCOUNTS__PLATFORMS__FACEBOOK__CLIENT_ID", "accounts-center")),
        ("platforms.facebook.client_secret", ("ACCOUNTS__PLATFORMS__FACEBOOK__CLIENT_SECRET", "very-secret")),
        ("oauth.redirect_uris", ("ACCOUNTS__OAUTH__REDIRECT_URIS", "https://www.example.com/linked")),
    ] {
        let text = error(&pairs);
        assert!(text.contains(missing), "{missing}: {text}");
        pairs.push(pair);
    }
    let right = pairs.iter().map(|&(key, value)| (key, value.to_owned()));
    let config = Config::from_pairs(right).and_then(Config::checked).unwrap();
    assert!(!format!("{config:?}").contains("very-secret"));
    let with = |pair: (&'static str, &'static str)| error(&[&pairs[..], &[pair]].concat());
    assert!(
        with(("ACCOUNTS__PLATFORMS__FACEBOOK__ISSUER", "http://login.facebook.example")).contains("https://")
    );
    assert!(with(("ACCOUNTS__PLATFORMS__FACEBOOK__CLIENT_ID", "")).contains("platforms.facebook.client_id"));
    assert!(
        with(("ACCOUNTS__PLATFORMS__FACEBOOK__CLIENT_SECRET", ""))
            .contains("platforms.facebook.client_secret")
    );
}

#[test]
fn s35_a_redirect_url_of_production_is_public_and_whole() {
    let production = |uris: &str| {
        error(&[
            ("ACCOUNTS__MODE", "production"),
            ("ACCOUNTS__KEYS__SECRET", "0123456789abcdef0123456789abcdef"),
            ("ACCOUNTS__DATABASE__URL", "postgres://db/accounts"),
            ("ACCOUNTS__REDIS__URL", "redis://cache/"),
            ("ACCOUNTS__DEMO__ENABLED", "false"),
            ("ACCOUNTS__PLATFORMS__WHATSAPP__ENABLED", "false"),
            ("ACCOUNTS__PLATFORMS__FACEBOOK__ENABLED", "false"),
            ("ACCOUNTS__PLATFORMS__INSTAGRAM__ENABLED", "false"),
            ("ACCOUNTS__OAUTH__REDIRECT_URIS", uris),
        ])
    };
    for private in [
        "http://www.example.com/linked",
        "https://localhost/linked",
        "https://127.0.0.1:4000/linked",
        "https://10.0.0.1/linked",
        "https://169.254.169.254/linked",
        "https://[::1]/linked",
        "https://www.example.com/linked,https://192.168.0.1/linked",
    ] {
        let text = production(private);
        assert!(text.contains("oauth.redirect_uris") && text.contains("public"), "{text}");
    }
    for malformed in [
        "linked",
        "/linked",
        "ftp://a.example/",
        "https://a.example/#x",
        "https://me@a.example/",
        "https://A.example/",
    ] {
        let text = error(&[("ACCOUNTS__OAUTH__REDIRECT_URIS", malformed)]);
        assert!(text.contains("oauth.redirect_uris"), "{text}");
    }
    let unknown = error(&[("ACCOUNTS__OAUTH__REDIRECT_URIES", "x")]);
    assert!(unknown.contains("redirect_uries"), "{unknown}");
    let issuer = error(&[("ACCOUNTS__PLATFORMS__WHATSAPP__ISSUER", "https://login.example")]);
    assert!(issuer.contains("platforms.whatsapp.issuer"), "{issuer}");
}

#[test]
fn secrets_do_not_show() {
    let config = Config::from_pairs([("ACCOUNTS__KEYS__SECRET", "0123456789abcdef-very-secret-0123".into())]);
    assert!(!format!("{config:?}").contains("very-secret"));
    for key in ["ACCOUNTS__KEYS", "ACCOUNTS__DATABASE", "ACCOUNTS__REDIS", "ACCOUNTS__PLATFORMS__WHATSAPP"] {
        let text = error(&[(key, "very-secret")]);
        assert!(!text.contains("very-secret") && text.contains("must be"), "{text}");
    }
}

#[test]
fn what_looks_like_a_number_stays_text_where_text_is_wanted() {
    let secret = "0000000000000000000000000000000000000017";
    let config = Config::from_pairs([
        ("ACCOUNTS__KEYS__SECRET", secret.to_owned()),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__CREDENTIAL", "00123".to_owned()),
        ("ACCOUNTS__HTTP__BODY_LIMIT", "1000".to_owned()),
        ("ACCOUNTS__DEMO__ENABLED", "false".to_owned()),
        ("ACCOUNTS__HTTP__ALLOWED_ORIGINS", "https://a.example, https://b.example".to_owned()),
    ]);
    let config = config.unwrap();
    assert_eq!(config.keys.secret.expose_secret(), secret);
    assert_eq!(config.platforms["whatsapp"].credential.expose_secret(), "00123");
    assert_eq!((config.http.body_limit, config.demo.enabled), (1000, false));
    assert_eq!(config.http.allowed_origins, ["https://a.example", "https://b.example"]);
}

#[test]
fn a_platform_needs_only_its_address_and_credential() {
    let config = Config::from_pairs([
        ("ACCOUNTS__PLATFORMS__MASTODON__BASE_URL", "https://mastodon.example".to_owned()),
        ("ACCOUNTS__PLATFORMS__MASTODON__CREDENTIAL", "c".to_owned()),
        ("ACCOUNTS__PLATFORMS__WHATSAPP__ENABLED", "false".to_owned()),
    ]);
    let keys: Vec<_> = config.unwrap().platforms.keys().map(ToString::to_string).collect();
    assert_eq!(keys, ["facebook", "instagram", "mastodon"]);
}

#[test]
fn passkeys_are_of_one_domain_and_its_hosts() {
    let passkeys = |rp_id: &str, origins: &str| {
        let pairs = [("ACCOUNTS__PASSKEYS__RP_ID", rp_id), ("ACCOUNTS__PASSKEYS__ORIGINS", origins)];
        let pairs = pairs.map(|(key, value)| (key, value.to_owned()));
        Config::from_pairs(pairs).and_then(Config::checked)
    };
    assert!(passkeys("", "").unwrap().passkeys.origins.is_empty());
    let both = passkeys("example.com", "https://example.com, https://www.example.com:8443").unwrap();
    assert_eq!(both.passkeys.parsed_origins().unwrap().len(), 2);
    for (rp_id, origins) in [("example.com", ""), ("", "https://example.com")] {
        let text = format!("{:#}", passkeys(rp_id, origins).unwrap_err());
        assert!(text.contains("passkeys.rp_id and passkeys.origins go together"), "{text}");
    }
    for origin in ["https://example.com/", "https://example.com/path", "example.com", "nonsense"] {
        let text = format!("{:#}", passkeys("example.com", origin).unwrap_err());
        assert!(text.contains("passkeys.origins") && text.contains("without a path"), "{text}");
    }
    for origin in
        ["https://evilexample.com", "https://example.com.evil.net", "https://127.0.0.1", "https://com"]
    {
        let text = format!("{:#}", passkeys("example.com", origin).unwrap_err());
        assert!(text.contains("nor below it"), "{text}");
    }
}
