//! What in a supergraph says who may see what. A gateway that does not know it, or not by the name that it has there, would
//! serve it open.

use graphql_tools::parser::schema::{Definition, Directive, Document, TypeDefinition, Value};

use super::SupergraphError;

/// Specifications that say who may see what, each with a directive of its name.
const GUARDS: [&str; 3] = ["authenticated", "requiresScopes", "policy"];

/// The only one of them that the planner enforces, and by this name alone.
const INACCESSIBLE: &str = "inaccessible";

type Text = Document<'static, String>;

/// Refuses a supergraph with guards that are not enforced, whatever they are called there.
///
/// # Errors
/// [`SupergraphError::Unenforced`], [`SupergraphError::UnknownGuard`].
pub fn require_none(document: &Text) -> Result<(), SupergraphError> {
    let links: Vec<Link<'_>> = links(document).collect();
    // What a supergraph bears is said first: whoever reads it knows where to look.
    if let Some(guard) = used_in(document, &links) {
        return Err(SupergraphError::Unenforced(guard));
    }
    match links.iter().find(|link| link.is_for_security && !link.is_inaccessible()) {
        Some(link) => Err(SupergraphError::UnknownGuard(link.url.to_owned())),
        None => Ok(()),
    }
}

/// A specification that a supergraph uses: `@link(url: "https://…/name/v1.0", as: "other", for: SECURITY, import: […])`,
/// or `@core(feature: …)` of old.
struct Link<'a> {
    url: &'a str,
    /// Without the version, and what it is called here.
    name: &'a str,
    alias: &'a str,
    /// Directives that have a name of their own here: theirs, and the one here.
    imports: Vec<(&'a str, &'a str)>,
    is_for_security: bool,
}

impl<'a> Link<'a> {
    fn of(directive: &'a Directive<'static, String>) -> Option<Self> {
        let argument = |wanted: &str| {
            let mut arguments = directive.arguments.iter();
            arguments.find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let url = text(argument("url").or_else(|| argument("feature"))?)?;
        let mut segments = url.trim_end_matches('/').rsplit('/');
        let last = segments.next()?;
        let is_version =
            last.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let name = if is_version { segments.next()? } else { last };
        let imports = match argument("import") {
            Some(Value::List(imports)) => imports.iter().filter_map(import).collect(),
            _ => Vec::new(),
        };
        let is_for_security = matches!(argument("for"), Some(Value::Enum(purpose)) if purpose == "SECURITY");
        let alias = argument("as").and_then(text).unwrap_or(name);
        Some(Self { url, name, alias, imports, is_for_security })
    }

    fn is_inaccessible(&self) -> bool {
        let is_own = self.name == INACCESSIBLE && self.alias == INACCESSIBLE;
        is_own && self.imports.iter().all(|(theirs, here)| theirs == here)
    }

    /// The guard that a directive of this name is by this link.
    fn guard(&self, directive: &str) -> Option<&'a str> {
        let guard = |name: &str| GUARDS.into_iter().find(|guard| *guard == name);
        let imported = self.imports.iter().find(|(_, here)| *here == directive);
        match imported {
            Some((theirs, _)) => guard(theirs),
            None if directive == self.alias => guard(self.name),
            None => None,
        }
    }
}

fn text<'a>(value: &'a Value<'static, String>) -> Option<&'a str> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// `"@name"`, or `{name: "@name", as: "@other"}`.
fn import<'a>(value: &'a Value<'static, String>) -> Option<(&'a str, &'a str)> {
    let (theirs, here) = match value {
        Value::Object(named) => {
            let field = |wanted: &str| {
                let found = named.iter().find(|(name, _)| name == wanted);
                found.and_then(|(_, value)| text(value))
            };
            let theirs = field("name")?;
            (theirs, field("as").unwrap_or(theirs))
        }
        value => (text(value)?, text(value)?),
    };
    Some((theirs.strip_prefix('@')?, here.strip_prefix('@')?))
}

/// Whatever the directive is called that links.
fn links(document: &Text) -> impl Iterator<Item = Link<'_>> {
    let schemas = document.definitions.iter().filter_map(|definition| match definition {
        Definition::SchemaDefinition(schema) => Some(&schema.directives),
        _ => None,
    });
    schemas.flatten().filter_map(Link::of)
}

/// The first guard on a type, a field or a value, by the name that its specification has.
fn used_in(document: &Text, links: &[Link<'_>]) -> Option<String> {
    let is_guard = |name: &str| {
        let linked = links.iter().find_map(|link| link.guard(name));
        let own = name.rsplit("__").next().unwrap_or(name);
        linked.or_else(|| GUARDS.into_iter().find(|guard| *guard == own)).map(str::to_owned)
    };
    document.definitions.iter().find_map(|definition| {
        let Definition::TypeDefinition(definition) = definition else { return None };
        let (own, fields) = match definition {
            TypeDefinition::Object(object) => (&object.directives, object.fields.as_slice()),
            TypeDefinition::Interface(interface) => (&interface.directives, interface.fields.as_slice()),
            TypeDefinition::Scalar(scalar) => (&scalar.directives, [].as_slice()),
            TypeDefinition::Enum(values) => (&values.directives, [].as_slice()),
            TypeDefinition::Union(_) | TypeDefinition::InputObject(_) => return None,
        };
        let all = own.iter().chain(fields.iter().flat_map(|field| &field.directives));
        all.map(|directive| directive.name.as_str()).find_map(is_guard)
    })
}

#[cfg(test)]
mod tests {
    use crate::gateway::supergraph::{Supergraph, SupergraphError};
    use crate::gateway::testing::ZOO;

    const LINK: &str = r#"@link(url: "https://specs.apollo.dev/inaccessible/v0.2", for: SECURITY)"#;

    /// The zoo with another link, and a directive on the name of a box.
    fn zoo(link: &str, directive: &str) -> Result<(), SupergraphError> {
        let text = ZOO.replace(LINK, &format!("{LINK} {link}"));
        let text = text.replace("box: Box boxes", &format!("box: Box {directive} boxes"));
        assert!(text.contains(link) && text.contains(&format!("{directive} boxes")));
        Supergraph::parse(&text).map(drop)
    }

    /// By its own name, by that of its specification here, or by that of an import.
    #[test]
    fn a_guard_is_known_by_any_name() {
        let link =
            |name: &str, more: &str| format!("@link(url: \"https://specs.apollo.dev/{name}/v0.1\"{more})");
        for (link, directive, guard) in [
            (String::new(), "@authenticated", "authenticated"),
            (String::new(), "@federation__policy", "policy"),
            (link("authenticated", ", as: \"auth\", for: SECURITY"), "@auth", "authenticated"),
            (link("authenticated", ", as: \"auth\""), "@auth", "authenticated"),
            (link("policy", ", import: [{name: \"@policy\", as: \"@may\"}]"), "@may", "policy"),
            (
                link("federation", ", import: [\"@key\", {name: \"@requiresScopes\", as: \"@needs\"}]"),
                "@needs",
                "requiresScopes",
            ),
            (
                "@core(feature: \"https://specs.apollo.dev/authenticated/v0.1/\", as: \"auth\")".to_owned(),
                "@auth",
                "authenticated",
            ),
        ] {
            let refused = zoo(&link, directive);
            assert_eq!(refused, Err(SupergraphError::Unenforced(guard.to_owned())), "{link} {directive}");
        }
    }

    /// What is for security is enforced or refused, also where nothing bears it under a name that could be found.
    #[test]
    fn what_is_for_security_is_enforced_or_refused() {
        for (link, url) in [
            ("@link(url: \"https://guards.test/mine/v1.0\", for: SECURITY)", "https://guards.test/mine/v1.0"),
            (
                "@link(url: \"https://specs.apollo.dev/inaccessible/v0.2\", as: \"hidden\", for: SECURITY)",
                "https://specs.apollo.dev/inaccessible/v0.2",
            ),
        ] {
            assert_eq!(zoo(link, ""), Err(SupergraphError::UnknownGuard(url.to_owned())), "{link}");
        }
        assert_eq!(
            zoo("@link(url: \"https://marks.test/marks/v1.0\", import: [\"@mark\"])", "@mark"),
            Ok(())
        );
        assert_eq!(zoo("", ""), Ok(()));
    }
}
