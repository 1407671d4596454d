//! How an operation is answered over a supergraph.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::print;
use crate::gateway::execute::errors::GraphqlError;
use crate::gateway::guard::Refused;
use crate::gateway::overrides::Overrides;
use crate::gateway::plan::conditions::Choice;
use crate::gateway::plan::planners::{Planners, Question};
use crate::gateway::settings::Plans;
use crate::gateway::supergraph::Supergraph;

/// Prints how `operation`, which is a document, a file that holds one, or `-`, is answered over `supergraph`.
pub async fn print_plan(
    supergraph: &Path,
    operation: &str,
    (name, variables): (Option<String>, Option<&str>),
    settings: &Plans,
) -> anyhow::Result<()> {
    let variables: serde_json::Map<String, serde_json::Value> = variables
        .map(serde_json::from_str)
        .transpose()
        .context("--variables is no object in JSON")?
        .unwrap_or_default();
    let text = std::fs::read_to_string(supergraph)
        .with_context(|| format!("cannot read the supergraph {}", supergraph.display()))?;
    let supergraph =
        Supergraph::parse(&text).with_context(|| format!("{} cannot be served", supergraph.display()))?;
    let operation = match operation {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?,
        // No operation is without one, and hardly a file has one in its name.
        document if document.contains('{') => document.to_owned(),
        file => std::fs::read_to_string(file)
            .with_context(|| format!("cannot read {file}, which is no operation either"))?,
    };
    let planners = Planners::new(settings, Arc::default())?;
    let (supergraph, overrides) = (Arc::new(supergraph), Overrides::default());
    let mut question = Question {
        supergraph: supergraph.id,
        operation: operation.into(),
        name,
        overrides,
        choice: Choice::default(),
        refused: None,
    };
    let mut planned = planners.plan(&supergraph, question.clone()).await;
    if let Ok(plan) = &planned
        && plan.is_undecided()
    {
        let choice = plan.undecided.iter().map(|name| {
            let value = variables.get(&**name).and_then(serde_json::Value::as_bool);
            let missing = || {
                anyhow::anyhow!(
                    "the operation has another plan for each value of `${name}`; say which one with --variables \
                     '{{\"{name}\": true}}'"
                )
            };
            Ok((name.clone(), value.ok_or_else(missing)?))
        });
        question.choice = choice.collect::<anyhow::Result<_>>()?;
        // As for somebody who may see all of it.
        question.refused = Some(Refused::default());
        planned = planners.plan(&supergraph, question).await;
    }
    match planned {
        Ok(plan) => print(format_args!("{}", plan.tree.to_string().trim_end().trim_end_matches(','))),
        Err(refusal) => {
            let told: Vec<String> = refusal.0.iter().map(GraphqlError::told).collect();
            anyhow::bail!("the operation has no plan: {}", told.join("; "))
        }
    }
}
