//! `cargo xtask schema`: the snapshots of the schema that reviews and clients read.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::workspace;

/// Each file, and how the program prints it.
const SNAPSHOTS: &[(&str, &[&str])] = &[
    ("schema/api.graphql", &["print"]),
    ("schema/accounts.graphql", &["print", "--subgraph"]),
    ("examples/instagram/schema.graphql", &["print", "--example"]),
    ("schema/supergraph.graphql", &["compose"]),
];

/// Each folder in it that has a file of this name is a subgraph of the snapshot, called as the folder.
const EXAMPLES: (&str, &str) = ("examples", "schema.graphql");

const LINES_OF_DIFF: usize = 40;

#[derive(clap::Args)]
pub struct Options {
    /// Write nothing, and fail if a snapshot is not what the code prints
    #[arg(long)]
    check: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let root = workspace::root();
    let mut stale = Vec::new();
    for (name, flags) in SNAPSHOTS {
        let path = root.join(name);
        let printed = print(flags)?;
        if !options.check {
            replace(&path, &printed).with_context(|| format!("cannot write {name}"))?;
        } else if fs::read(&path).ok().as_ref() != Some(&printed) {
            eprintln!("{}", difference(name, &path, &printed)?);
            stale.push(*name);
        }
    }
    if !stale.is_empty() {
        bail!("not what the code prints: {}; run `cargo xtask schema` and commit it", stale.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}

fn print(arguments: &[&str]) -> Result<Vec<u8>> {
    let arguments = [&["schema"], arguments].concat();
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--"]).args(&arguments);
    // Nothing of whoever runs this gets into what everybody reads.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("ACCOUNTS__"))
    {
        command.env_remove(name);
    }
    let mut configuration = NamedTempFile::new()?;
    if arguments.contains(&"compose") {
        configuration.write_all(subgraphs(&workspace::root().join(EXAMPLES.0))?.as_bytes())?;
        command.arg("--config").arg(configuration.path());
    }
    let output = command.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "`{}` failed ({})", arguments.join(" "), output.status);
    Ok(output.stdout)
}

/// The configuration of the subgraphs in a folder. Where they are is nobody's business here.
fn subgraphs(folder: &Path) -> Result<String> {
    let mut configuration = String::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>()?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
    };
    for entry in entries {
        let (name, schema) = (entry.file_name(), entry.path().join(EXAMPLES.1));
        let (Some(name), Some(path)) = (name.to_str(), schema.to_str()) else { continue };
        if schema.is_file() {
            configuration.push_str(&format!(
                "[gateway.subgraphs.{name}]\nurl = \"http://{name}.example/\"\nsdl = {path:?}\n"
            ));
        }
    }
    Ok(configuration)
}

/// A reader sees the old file or the new one, never half of one.
fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let folder = path.parent().context("a file stands in a folder")?;
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o644)).tempfile_in(folder)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

fn difference(name: &str, path: &Path, printed: &[u8]) -> Result<String> {
    if !path.exists() {
        return Ok(format!("{name} is missing"));
    }
    let mut file = NamedTempFile::new()?;
    file.write_all(printed)?;
    let output = Command::new("diff")
        .args(["-u", "--label", name, "--label", "what the code prints"])
        .args([path, file.path()])
        .output()
        .context("cannot start diff")?;
    Ok(shorten(&String::from_utf8_lossy(&output.stdout)))
}

fn shorten(diff: &str) -> String {
    let mut lines: Vec<&str> = diff.lines().collect();
    let more = lines.len().saturating_sub(LINES_OF_DIFF);
    lines.truncate(LINES_OF_DIFF);
    if more == 0 { lines.join("\n") } else { format!("{}\n… and {more} more lines", lines.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_difference_is_shortened() {
        assert_eq!(shorten("a\nb\n"), "a\nb");
        let long = "x\n".repeat(LINES_OF_DIFF + 2);
        assert!(shorten(&long).ends_with("x\n… and 2 more lines"));
    }

    #[test]
    fn each_folder_with_a_schema_is_a_subgraph() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(subgraphs(&folder.path().join("nothing")).expect("no examples"), "");
        fs::create_dir_all(folder.path().join("posts")).expect("a folder");
        fs::create_dir_all(folder.path().join("clients")).expect("a folder");
        fs::write(folder.path().join("posts/schema.graphql"), "type Query { a: Int }").expect("a schema");
        let configuration = subgraphs(folder.path()).expect("a configuration");
        assert!(configuration.starts_with("[gateway.subgraphs.posts]\n"), "{configuration}");
        assert!(!configuration.contains("clients"), "{configuration}");
    }

    #[test]
    fn a_difference_names_both_sides() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("api.graphql");
        assert_eq!(difference("api", &path, b"a\n").expect("a message"), "api is missing");
        replace(&path, b"a\n").expect("a first snapshot");
        replace(&path, b"b\n").expect("a second snapshot");
        let diff = difference("api", &path, b"c\n").expect("a diff");
        assert!(diff.starts_with("--- api\n+++ what the code prints\n"), "{diff}");
        assert!(diff.ends_with("-b\n+c"), "{diff}");
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
    }
}
