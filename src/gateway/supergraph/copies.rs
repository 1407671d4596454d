//! The last good schema of each subgraph, in files: a process that starts while a subgraph is away needs it.

use std::path::{Path, PathBuf};

/// A folder of schemas.
pub struct Copies(PathBuf);

impl Copies {
    /// In a folder of the data folder.
    pub fn in_data(folder: &Path) -> Self {
        Self(folder.join("subgraphs"))
    }

    fn path(&self, subgraph: &str) -> Option<PathBuf> {
        // It becomes a part of a path.
        let is_plain =
            subgraph.bytes().all(|byte| byte == b'-' || byte == b'_' || byte.is_ascii_alphanumeric());
        (is_plain && !subgraph.is_empty()).then(|| self.0.join(format!("{subgraph}.graphql")))
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
        let Some(path) = self.path(subgraph) else { return };
        if let Err(error) = self.write(&path, sdl).await {
            tracing::warn!(path = %path.display(), %error, "the schema of a subgraph cannot be kept");
        }
    }

    async fn write(&self, path: &Path, sdl: &str) -> std::io::Result<()> {
        use tokio::io::AsyncWriteExt;
        tokio::fs::create_dir_all(&self.0).await?;
        // Processes that share the folder do not share this name.
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = tokio::fs::File::create(&fresh).await?;
        file.write_all(sdl.as_bytes()).await?;
        file.sync_all().await?;
        tokio::fs::rename(&fresh, path).await
    }
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
        for name in ["", "..", "../up", "a/b", "a\\b", "a.b"] {
            copies.keep(name, "x").await;
            assert_eq!(copies.read(name).await, None, "{name}");
        }
        assert!(!folder.path().join("subgraphs").exists());
    }
}
