//! The last good schema of each subgraph, in files: a process that starts while a subgraph is away needs it.

use std::io::Write;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A folder of schemas.
pub struct Copies(PathBuf);

impl Copies {
    /// In a folder of the data folder.
    pub fn in_data(folder: &Path) -> Self {
        Self(folder.join("subgraphs"))
    }

    fn path(&self, subgraph: &str) -> Option<PathBuf> {
        // It becomes a part of a path. A file that begins with a dot is one that is being written.
        let is_plain = subgraph.bytes().all(|byte| b"-_.".contains(&byte) || byte.is_ascii_alphanumeric());
        let is_name = is_plain && !subgraph.is_empty() && !subgraph.starts_with('.');
        is_name.then(|| self.0.join(format!("{subgraph}.graphql")))
    }

    /// What was kept last.
    pub async fn read(&self, subgraph: &str) -> Option<String> {
        let path = self.path(subgraph)?;
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the kept schema of a subgraph cannot be read");
                None
            }
        }
    }

    /// Keeps a schema: whoever reads finds the one before or this one, never half of it.
    pub async fn keep(&self, subgraph: &str, sdl: &str) {
        let Some(path) = self.path(subgraph) else {
            tracing::warn!(subgraph, "the schema of a subgraph is not kept: its name is none for a file");
            return;
        };
        let (folder, to, sdl) = (self.0.clone(), path.clone(), sdl.to_owned());
        let written = tokio::task::spawn_blocking(move || write(&folder, &to, &sdl)).await;
        if let Err(error) = written.unwrap_or_else(|panic| Err(panic.into())) {
            tracing::warn!(path = %path.display(), %error, "the schema of a subgraph cannot be kept");
        }
    }
}

/// Processes that share the folder may have one id, as in containers: so the file has a name of its own until it is whole.
fn write(folder: &Path, path: &Path, sdl: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(sdl.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_there_for_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::in_data(folder.path());
        assert_eq!(copies.read("posts").await, None);
        copies.keep("posts", "type Query { a: Int }").await;
        copies.keep("posts", "type Query { b: Int }").await;
        assert_eq!(Copies::in_data(folder.path()).read("posts").await.unwrap(), "type Query { b: Int }");
        let names: Vec<_> = std::fs::read_dir(folder.path().join("subgraphs")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left of writing");
    }

    /// A name is a part of a path, and of no other one.
    #[tokio::test]
    async fn a_name_leads_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let copies = Copies::in_data(folder.path());
        for name in ["", ".", "..", ".a", "../up", "a/b", "a\\b"] {
            copies.keep(name, "x").await;
            assert_eq!(copies.read(name).await, None, "{name}");
        }
        assert!(!folder.path().join("subgraphs").exists());
        copies.keep("posts.v2", "x").await;
        assert_eq!(copies.read("posts.v2").await.unwrap(), "x");
    }

    /// Many at once, with one id: whatever is there is whole.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_writes_at_once_leaves_one_whole_schema() {
        let folder = tempfile::tempdir().unwrap();
        let sdls: Vec<String> =
            (b'a'..b'i').map(|letter| char::from(letter).to_string().repeat(1 << 20)).collect();
        let written = sdls.iter().map(|sdl| {
            let (copies, sdl) = (Copies::in_data(folder.path()), sdl.clone());
            tokio::spawn(async move {
                copies.keep("posts", &sdl).await;
                copies.read("posts").await.unwrap()
            })
        });
        for found in futures_util::future::join_all(written).await {
            assert!(sdls.contains(&found.unwrap()));
        }
    }
}
