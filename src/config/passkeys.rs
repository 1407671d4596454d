//! Whether the settings of passkeys can be served with.

use anyhow::{Context, ensure};
use url::Url;

use super::Passkeys;

impl Passkeys {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.rp_id.is_empty() == self.origins.is_empty(),
            "passkeys.rp_id and passkeys.origins go together: give both, or neither"
        );
        self.parsed_origins().map(|_| ())
    }

    /// Browsers take passkeys on https:// only, but for localhost.
    pub(super) fn check_production(&self) -> anyhow::Result<()> {
        for origin in &self.origins {
            ensure!(
                origin.starts_with("https://"),
                "passkeys.origins has {origin:?}: in production mode it begins with https://"
            );
        }
        Ok(())
    }

    /// The origins that pages with our passkeys may have.
    ///
    /// # Errors
    /// Names the one that is none, or none of `rp_id`.
    pub fn parsed_origins(&self) -> anyhow::Result<Vec<Url>> {
        self.origins.iter().map(|origin| self.parsed(origin)).collect()
    }

    fn parsed(&self, origin: &str) -> anyhow::Result<Url> {
        let url = origin.parse::<Url>().ok();
        let url = url.filter(|url| url.origin().ascii_serialization() == origin).with_context(|| {
            format!("passkeys.origins has {origin:?}; an origin is https://www.example.com, without a path")
        })?;
        let is_below = |domain: &str| {
            domain.strip_suffix(&self.rp_id).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        ensure!(
            url.domain().is_some_and(is_below),
            "passkeys.origins has {origin:?}, whose host is neither passkeys.rp_id ({:?}) nor below it",
            self.rp_id
        );
        Ok(url)
    }

    /// What development has without settings.
    pub fn set_development(&mut self, port: u16) {
        if self.rp_id.is_empty() {
            "localhost".clone_into(&mut self.rp_id);
            self.origins = vec![format!("http://localhost:{port}")];
        }
    }
}
