//! Where the workspace lies and which cargo builds it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

pub fn root() -> PathBuf {
    // The variable of the running process comes first: the compiled-in path is that of the clone that
    // built this program, and two clones may share a target folder.
    let xtask = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let xtask = PathBuf::from(xtask);
    xtask.parent().map_or_else(|| xtask.clone(), Path::to_path_buf)
}

/// The cargo that started us, at the root of the workspace.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    // What cargo said of this program to this program. A build script that asks for such a variable, as ring's does,
    // would run again each time that cargo is called now by hand and now from here.
    let own = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in own.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
        command.env_remove(name);
    }
    command
}

/// Cargo's target folder, wherever the environment or a configuration file has put it.
pub fn target_dir() -> Result<PathBuf> {
    let output = cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .stderr(Stdio::inherit())
        .output()
        .context("`cargo metadata` cannot be started")?;
    ensure!(output.status.success(), "`cargo metadata` failed");
    let metadata = String::from_utf8(output.stdout).context("`cargo metadata` printed no UTF-8")?;
    target_directory(&metadata).context("`cargo metadata` names no target folder that we can read")
}

/// Reads the one field we need. The key cannot stand inside another string, since its quotes would be
/// escaped there; a path with escapes in it is refused rather than misread.
fn target_directory(metadata: &str) -> Option<PathBuf> {
    let (_, rest) = metadata.split_once(r#""target_directory":""#)?;
    let (path, _) = rest.split_once('"')?;
    (!path.contains('\\')).then(|| PathBuf::from(path))
}

/// The file that typing `name` would start.
pub fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_directory_is_read_from_the_metadata() {
        let metadata = r#"{"packages":[{"name":"a"}],"target_directory":"/w/target","version":1}"#;
        assert_eq!(target_directory(metadata), Some(PathBuf::from("/w/target")));
    }

    #[test]
    fn a_quoted_key_and_an_escaped_path_are_not_taken() {
        let quoted = r#"{"description":"\"target_directory\":\"/no\""}"#;
        assert_eq!(target_directory(quoted), None);
        assert_eq!(target_directory(r#"{"target_directory":"/w\"x"}"#), None);
    }
}
