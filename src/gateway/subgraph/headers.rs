//! Which headers a subgraph gets.
//!
//! Of a client's headers none but those that a rule names. No pattern forwards credentials: who forwards them says so by
//! their own names. Any pattern takes them away.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use secrecy::ExposeSecret;

use crate::gateway::settings::Subgraph;

/// Those that belong to one connection or one body (RFC 9110, sections 7.6.1 and 8), and those that we write.
const NEVER: [HeaderName; 19] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
];
const CREDENTIALS: [HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, ROUTER];
/// Where a router shows its own token to the accounts graph.
pub const ROUTER: HeaderName = HeaderName::from_static("accounts-center-router");
/// By which a browser asks the accounts graph for cookie mode: `Accounts-Center-Session: cookie`.
pub const SESSION_MODE: HeaderName = HeaderName::from_static("accounts-center-session");
/// By which a caller says what of their account they have seen.
pub const MIN_VERSION: HeaderName = HeaderName::from_static("accounts-center-min-version");
/// What the accounts graph needs of its caller's headers: who it is, what it has seen, how it keeps its session, and what
/// it is and where.
const FOR_ACCOUNTS: [HeaderName; 6] = [
    header::AUTHORIZATION,
    MIN_VERSION,
    SESSION_MODE,
    header::COOKIE,
    header::USER_AGENT,
    HeaderName::from_static("x-forwarded-for"),
];

/// The rules of one subgraph.
#[derive(Clone, Debug)]
pub struct Rules {
    forward: Vec<Pattern>,
    remove: Vec<Pattern>,
    set: Vec<(HeaderName, HeaderValue)>,
}

/// A header's name, or how it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Name(HeaderName),
    Beginning(String),
}

/// A setting that cannot be followed: its path and what is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {what}")]
pub struct BadRule {
    setting: &'static str,
    what: String,
}

impl Pattern {
    fn parse(setting: &'static str, text: &str) -> Result<Self, BadRule> {
        let bad = |what: String| BadRule { setting, what };
        match text.strip_suffix('*') {
            Some(beginning) if beginning.contains('*') => {
                Err(bad(format!("{text:?} has several `*`; one may stand at the end")))
            }
            Some(beginning) => Ok(Self::Beginning(beginning.to_ascii_lowercase())),
            None => match text.parse::<HeaderName>() {
                Ok(name) if NEVER.contains(&name) => {
                    Err(bad(format!("{text:?} belongs to one connection and is not forwarded")))
                }
                Ok(name) => Ok(Self::Name(name)),
                Err(_) => Err(bad(format!("{text:?} is no header's name"))),
            },
        }
    }

    fn means(&self, name: &HeaderName) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Beginning(beginning) => name.as_str().starts_with(beginning),
        }
    }

    fn forwards(&self, name: &HeaderName) -> bool {
        let may = matches!(self, Self::Name(_)) || !CREDENTIALS.contains(name);
        may && self.means(name)
    }
}

impl Rules {
    /// # Errors
    /// A rule that cannot be followed.
    pub fn new(settings: &Subgraph) -> Result<Self, BadRule> {
        let patterns = |setting, texts: &[String]| -> Result<Vec<Pattern>, BadRule> {
            texts.iter().map(|text| Pattern::parse(setting, text)).collect()
        };
        let set = settings.set_headers.iter().map(|(name, value)| {
            let bad = |what: String| BadRule { setting: "set_headers", what };
            let name: HeaderName = name.parse().map_err(|_| bad(format!("{name:?} is no header's name")))?;
            if NEVER.contains(&name) {
                return Err(bad(format!("`{name}` is ours to write")));
            }
            // It may be a secret, so it is not quoted.
            let value = HeaderValue::from_str(value)
                .map_err(|_| bad(format!("the value of `{name}` has characters that no header may have")))?;
            Ok((name, value))
        });
        let mut rules = Self {
            forward: patterns("forward_headers", &settings.forward_headers)?,
            remove: patterns("remove_headers", &settings.remove_headers)?,
            set: set.collect::<Result<_, _>>()?,
        };
        let router_token = settings.router_token.expose_secret();
        if !router_token.is_empty() {
            let mut value = HeaderValue::from_str(router_token).map_err(|_| BadRule {
                setting: "router_token",
                what: "it has characters that no header may have".to_owned(),
            })?;
            value.set_sensitive(true);
            rules.set.push((ROUTER, value));
            rules.forward.extend(FOR_ACCOUNTS.map(Pattern::Name));
        }
        Ok(rules)
    }

    /// What of these rules would let credentials of a client out, or go where a token is put that is minted for the
    /// subgraph: a setting, and a header.
    pub fn leak(settings: &Subgraph) -> Option<(&'static str, HeaderName)> {
        let named = |texts: &[String]| {
            let mut names = texts.iter().filter_map(|text| text.parse::<HeaderName>().ok());
            names.find(|name| CREDENTIALS.contains(name))
        };
        if let Some(name) = named(&settings.forward_headers) {
            return Some(("forward_headers", name));
        }
        let set: Vec<String> = settings.set_headers.keys().cloned().collect();
        let set = named(&set).filter(|name| settings.mint_tokens && *name == header::AUTHORIZATION);
        set.map(|name| ("set_headers", name))
    }

    /// Whether a client's header of this name goes on.
    pub fn forwards(&self, name: &HeaderName) -> bool {
        let is_forwarded = self.forward.iter().any(|pattern| pattern.forwards(name));
        is_forwarded && !self.remove.iter().any(|pattern| pattern.means(name)) && !NEVER.contains(name)
    }

    /// What of a client's headers goes on, and what is added: forwarded, then removed, then set.
    pub fn apply(&self, from: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.forward.is_empty() {
            for (name, value) in from.iter().filter(|(name, _)| self.forwards(name)) {
                headers.append(name.clone(), value.clone());
            }
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn rules(forward: &[&str], remove: &[&str], set: &[(&str, &str)]) -> Result<Rules, BadRule> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let settings = Config::from_pairs([]).unwrap().gateway.subgraph;
        Rules::new(&Subgraph {
            forward_headers: owned(forward),
            remove_headers: owned(remove),
            set_headers: set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..settings
        })
    }

    fn names(rules: &Rules) -> Vec<String> {
        let mut from = HeaderMap::new();
        for name in ["authorization", "cookie", "x-acme-a", "x-acme-b", "x-other", "connection", "host"] {
            from.insert(HeaderName::from_static(name), HeaderValue::from_static("client"));
        }
        let headers = rules.apply(&from);
        let mut names: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_subgraph_gets_what_a_rule_names_and_nothing_else() {
        assert!(names(&rules(&[], &[], &[]).unwrap()).is_empty());
        assert_eq!(names(&rules(&["X-Acme-*"], &["x-acme-b"], &[]).unwrap()), ["x-acme-a=client"]);
        let set = rules(&["x-other"], &[], &[("X-Other", "ours"), ("x-new", "1")]).unwrap();
        assert_eq!(names(&set), ["x-new=1", "x-other=ours"]);
    }

    #[test]
    fn no_pattern_forwards_credentials() {
        assert_eq!(
            names(&rules(&["*"], &[], &[]).unwrap()),
            ["x-acme-a=client", "x-acme-b=client", "x-other=client"]
        );
        assert_eq!(names(&rules(&["authorization"], &[], &[]).unwrap()), ["authorization=client"]);
    }

    #[test]
    fn accounts_replicas_get_their_callers_token_and_the_gateways_own() {
        let mut settings = Config::from_pairs([]).unwrap().gateway.subgraph;
        settings.router_token = "secret".to_owned().into();
        let rules = Rules::new(&settings).unwrap();
        assert_eq!(names(&rules), ["accounts-center-router=secret", "authorization=client", "cookie=client"]);
        settings.router_token = "se\ncret".to_owned().into();
        let error = Rules::new(&settings).unwrap_err().to_string();
        assert!(error.contains("router_token") && !error.contains("cret\n"), "{error}");
    }

    #[test]
    fn what_would_let_a_clients_credentials_out_is_found() {
        let leak = |forward: &[&str], set: &[(&str, &str)], mint_tokens| {
            let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            let settings = Config::from_pairs([]).unwrap().gateway.subgraph;
            let settings = Subgraph {
                forward_headers: owned(forward),
                set_headers: set
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                mint_tokens,
                ..settings
            };
            Rules::leak(&settings).map(|(setting, _)| setting)
        };
        for name in ["Authorization", "cookie", "Accounts-Center-Router"] {
            assert_eq!(leak(&["x-other", name], &[], false), Some("forward_headers"), "{name}");
        }
        assert_eq!(leak(&["*"], &[("x-key", "1")], true), None, "no pattern forwards them");
        assert_eq!(leak(&[], &[("authorization", "Bearer key")], true), Some("set_headers"));
        assert_eq!(leak(&[], &[("authorization", "Bearer key")], false), None);
    }

    #[test]
    fn a_pattern_takes_credentials_away() {
        let named = ["authorization", "cookie", "x-other"];
        assert!(names(&rules(&named, &["*"], &[]).unwrap()).is_empty());
        assert_eq!(names(&rules(&named, &["auth*", "cookie"], &[]).unwrap()), ["x-other=client"]);
    }

    #[test]
    fn a_bad_rule_is_named() {
        for (forward, set) in
            [("a b", ("x", "1")), ("a*b*", ("x", "1")), ("host", ("x", "1")), ("x", ("host", "1"))]
        {
            assert!(rules(&[forward], &[], &[set]).is_err(), "{forward} {set:?}");
        }
        let error = rules(&[], &[], &[("x-key", "se\ncret")]).unwrap_err().to_string();
        assert!(!error.contains("cret") && error.contains("x-key"), "{error}");
    }
}
