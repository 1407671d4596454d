//! What in a supergraph says who may see what. A gateway that does not know it, or not by the name that it has there, would
//! serve it open: so it is known by any name, or the supergraph is refused.

use graphql_tools::parser::schema::{Definition, Directive, Document, TypeDefinition, Value};

use super::SupergraphError;
use crate::gateway::guard::Requirement;

/// Specifications that say who may see what, each with a directive of its name.
const GUARDS: [&str; 3] = [AUTHENTICATED, REQUIRES_SCOPES, "policy"];
const AUTHENTICATED: &str = "authenticated";
const REQUIRES_SCOPES: &str = "requiresScopes";

/// What the planner enforces, and by this name alone.
const INACCESSIBLE: &str = "inaccessible";

type Text = Document<'static, String>;

/// A type with guards: its own, and those of its fields.
#[derive(Debug)]
pub struct Declared<'a> {
    pub name: &'a str,
    pub own: Vec<Requirement>,
    pub fields: Vec<(&'a str, Vec<Requirement>)>,
}

/// The guards of a supergraph, whatever they are called there.
///
/// # Errors
/// [`SupergraphError::Unenforced`], [`SupergraphError::UnreadableGuard`], [`SupergraphError::UnknownGuard`].
pub fn declared(document: &Text) -> Result<Vec<Declared<'_>>, SupergraphError> {
    let links: Vec<Link<'_>> = links(document).collect();
    let mut declared = Vec::new();
    for definition in &document.definitions {
        let Definition::TypeDefinition(definition) = definition else { continue };
        refuse_elsewhere(definition, &links)?;
        let (name, own, fields) = match definition {
            TypeDefinition::Object(object) => (&object.name, &object.directives, object.fields.as_slice()),
            TypeDefinition::Interface(interface) => {
                (&interface.name, &interface.directives, interface.fields.as_slice())
            }
            TypeDefinition::Scalar(scalar) => (&scalar.name, &scalar.directives, [].as_slice()),
            TypeDefinition::Enum(values) => (&values.name, &values.directives, [].as_slice()),
            TypeDefinition::Union(_) | TypeDefinition::InputObject(_) => continue,
        };
        let own = requirements(own, &links, name)?;
        let mut guarded = Vec::new();
        for field in fields {
            let at = format!("{name}.{}", field.name);
            let requirements = requirements(&field.directives, &links, &at)?;
            if !requirements.is_empty() {
                guarded.push((field.name.as_str(), requirements));
            }
        }
        if !own.is_empty() || !guarded.is_empty() {
            declared.push(Declared { name, own, fields: guarded });
        }
    }
    match links.iter().find(|link| link.is_for_security && !link.is_known()) {
        Some(link) => Err(SupergraphError::UnknownGuard(link.url.to_owned())),
        None => Ok(declared),
    }
}

/// Refuses guards at places that no specification knows them at: nobody could say what they guard there.
fn refuse_elsewhere(
    definition: &TypeDefinition<'static, String>,
    links: &[Link<'_>],
) -> Result<(), SupergraphError> {
    let refuse = |directives: &[Directive<'static, String>], at: &str| {
        let mut guards = directives.iter().filter_map(|directive| guard_of(&directive.name, links));
        match guards.next() {
            Some(guard) => Err(SupergraphError::Unenforced { guard, at: at.to_owned() }),
            None => Ok(()),
        }
    };
    match definition {
        TypeDefinition::Union(union) => refuse(&union.directives, &union.name),
        TypeDefinition::InputObject(input) => {
            refuse(&input.directives, &input.name)?;
            input.fields.iter().try_for_each(|field| refuse(&field.directives, &input.name))
        }
        TypeDefinition::Enum(values) => {
            values.values.iter().try_for_each(|value| refuse(&value.directives, &values.name))
        }
        TypeDefinition::Object(object) => {
            let mut arguments = object.fields.iter().flat_map(|field| &field.arguments);
            arguments.try_for_each(|argument| refuse(&argument.directives, &object.name))
        }
        TypeDefinition::Interface(interface) => {
            let mut arguments = interface.fields.iter().flat_map(|field| &field.arguments);
            arguments.try_for_each(|argument| refuse(&argument.directives, &interface.name))
        }
        TypeDefinition::Scalar(_) => Ok(()),
    }
}

/// What the guards at one place ask for, which is called `at` in errors.
fn requirements(
    directives: &[Directive<'static, String>],
    links: &[Link<'_>],
    at: &str,
) -> Result<Vec<Requirement>, SupergraphError> {
    let guards =
        directives.iter().filter_map(|directive| Some((guard_of(&directive.name, links)?, directive)));
    let read = guards.map(|(guard, directive)| {
        let unreadable = || SupergraphError::UnreadableGuard { guard, at: at.to_owned() };
        let lists = |argument: &str| {
            let found = directive.arguments.iter().find(|(name, _)| name == argument);
            found.and_then(|(_, value)| lists(value)).ok_or_else(unreadable)
        };
        match guard {
            AUTHENTICATED => Ok(Requirement::Authenticated),
            REQUIRES_SCOPES => lists("scopes").map(Requirement::Scopes),
            _ => lists("policies").map(Requirement::Policies),
        }
    });
    read.collect()
}

/// `[["a", "b"], ["c"]]`, where a list of one may be without its brackets (GraphQL specification, section 3.11).
fn lists(value: &Value<'static, String>) -> Option<Vec<Vec<String>>> {
    let one = |value: &Value<'static, String>| match value {
        Value::String(name) => Some(vec![name.clone()]),
        // It would ask for nothing, so that everybody who is signed in would pass.
        Value::List(names) if names.is_empty() => None,
        Value::List(names) => names.iter().map(|name| text(name).map(str::to_owned)).collect(),
        _ => None,
    };
    match value {
        Value::List(lists) => lists.iter().map(one).collect(),
        other => Some(vec![one(other)?]),
    }
}

/// The guard that a directive of this name is.
fn guard_of(directive: &str, links: &[Link<'_>]) -> Option<&'static str> {
    let linked = links.iter().find_map(|link| link.guard(directive));
    let own = directive.rsplit("__").next().unwrap_or(directive);
    linked.or_else(|| GUARDS.into_iter().find(|guard| *guard == own))
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

    /// Whether somebody enforces all of it.
    fn is_known(&self) -> bool {
        self.is_inaccessible() || GUARDS.contains(&self.name)
    }

    /// The guard that a directive of this name is by this link.
    fn guard(&self, directive: &str) -> Option<&'static str> {
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

#[cfg(test)]
mod tests {
    use graphql_tools::parser::parse_schema;

    use super::*;
    use crate::gateway::testing::ZOO;

    const LINK: &str = r#"@link(url: "https://specs.apollo.dev/inaccessible/v0.2", for: SECURITY)"#;

    /// What the zoo has of guards with another link, and with one part of it replaced.
    fn zoo(link: &str, (part, other): (&str, &str)) -> Result<Vec<String>, SupergraphError> {
        assert!(ZOO.contains(part), "{part}");
        let text = ZOO.replace(LINK, &format!("{LINK} {link}")).replacen(part, other, 1);
        let document = parse_schema::<String>(&text).unwrap().into_static();
        let told = declared(&document)?.into_iter().flat_map(|declared| {
            let own =
                declared.own.into_iter().map(|requirement| format!("{} {requirement:?}", declared.name));
            let fields = declared.fields.into_iter().flat_map(|(field, requirements)| {
                requirements
                    .into_iter()
                    .map(move |requirement| format!("{}.{field} {requirement:?}", declared.name))
            });
            own.chain(fields).collect::<Vec<_>>()
        });
        Ok(told.collect())
    }

    const BOX: &str = "box: Box boxes";

    /// By its own name, by that of its specification here, or by that of an import.
    #[test]
    fn a_guard_is_known_by_any_name() {
        let link =
            |name: &str, more: &str| format!("@link(url: \"https://specs.apollo.dev/{name}/v0.1\"{more})");
        for (link, directive, requirement) in [
            (String::new(), "@authenticated", "Authenticated"),
            (String::new(), "@federation__policy(policies: \"a\")", "Policies([[\"a\"]])"),
            (link("authenticated", ", as: \"auth\", for: SECURITY"), "@auth", "Authenticated"),
            (link("authenticated", ", as: \"auth\""), "@auth", "Authenticated"),
            (
                link("policy", ", import: [{name: \"@policy\", as: \"@may\"}]"),
                "@may(policies: [[\"a\"], \"b\"])",
                "Policies([[\"a\"], [\"b\"]])",
            ),
            (
                link("federation", ", import: [\"@key\", {name: \"@requiresScopes\", as: \"@needs\"}]"),
                "@needs(scopes: [[\"a\", \"b\"], [\"c\"]])",
                "Scopes([[\"a\", \"b\"], [\"c\"]])",
            ),
            (
                "@core(feature: \"https://specs.apollo.dev/authenticated/v0.1/\", as: \"auth\")".to_owned(),
                "@auth",
                "Authenticated",
            ),
        ] {
            let found = zoo(&link, (BOX, &format!("box: Box {directive} boxes")));
            assert_eq!(found, Ok(vec![format!("Query.box {requirement}")]), "{link} {directive}");
        }
    }

    /// What is for security is enforced or refused, also where nothing bears it under a name that could be found.
    #[test]
    fn what_is_for_security_is_enforced_or_refused() {
        let nothing = (BOX, BOX);
        for (link, url) in [
            ("@link(url: \"https://guards.test/mine/v1.0\", for: SECURITY)", "https://guards.test/mine/v1.0"),
            (
                "@link(url: \"https://specs.apollo.dev/inaccessible/v0.2\", as: \"hidden\", for: SECURITY)",
                "https://specs.apollo.dev/inaccessible/v0.2",
            ),
        ] {
            assert_eq!(zoo(link, nothing), Err(SupergraphError::UnknownGuard(url.to_owned())), "{link}");
        }
        let mark = "@link(url: \"https://marks.test/marks/v1.0\", import: [\"@mark\"])";
        assert_eq!(zoo(mark, (BOX, "box: Box @mark boxes")), Ok(vec![]));
        assert_eq!(zoo("", nothing), Ok(vec![]));
    }

    /// A guard that cannot be read, or that stands where it means nothing, is not served open.
    #[test]
    fn what_cannot_be_enforced_is_refused() {
        for (at, with) in [
            (BOX, "box: Box @requiresScopes boxes"),
            (BOX, "box: Box @requiresScopes(scopes: 1) boxes"),
            (BOX, "box: Box @requiresScopes(scopes: [[a]]) boxes"),
            (BOX, "box: Box @policy(scopes: [[\"a\"]]) boxes"),
            (BOX, "box: Box @policy(policies: [[]]) boxes"),
            (BOX, "box: Box @requiresScopes(scopes: [[\"a\"], []]) boxes"),
        ] {
            let refused = zoo("", (at, with));
            assert!(
                matches!(&refused, Err(SupergraphError::UnreadableGuard { at, .. }) if at == "Query.box"),
                "{with}"
            );
        }
        for (at, with) in [
            (BOX, "box(a: Int @authenticated): Box boxes"),
            ("HAPPY", "HAPPY @authenticated"),
            ("scalar Json", "union Any @authenticated = Cat input In { a: Int } scalar Json"),
            ("scalar Json", "input In { a: Int @authenticated } scalar Json"),
            ("scalar Json", "input In @authenticated { a: Int } scalar Json"),
        ] {
            let refused = zoo("", (at, with));
            assert!(
                matches!(refused, Err(SupergraphError::Unenforced { guard: "authenticated", .. })),
                "{with}"
            );
        }
    }
}
