//! Where the supergraph comes from: a file or a URL, looked at again and again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::{StatusCode, Url, header};

/// A supergraph is some kilobytes for each type; far beyond this it is none.
const MOST_BYTES: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(30);

/// A place that has a supergraph.
pub struct Source {
    place: Place,
    /// What was read the last time.
    seen: Option<String>,
}

enum Place {
    File(PathBuf),
    Url { url: Url, client: reqwest::Client, tag: Option<header::HeaderValue> },
}

impl Source {
    /// A URL with `http://` or `https://`, or else a file.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn new(place: &str) -> anyhow::Result<Self> {
        ensure!(
            !place.is_empty(),
            "there is no supergraph: give --supergraph FILE or URL, or gateway.supergraph"
        );
        let place = if place.contains("://") {
            let url = Url::parse(place).with_context(|| format!("the supergraph's URL {place:?} is none"))?;
            let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
            ensure!(is_http, "the supergraph's URL {place:?} is neither http:// nor https://");
            let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
            Place::Url { url, client, tag: None }
        } else {
            Place::File(place.into())
        };
        Ok(Self { place, seen: None })
    }

    /// The supergraph, if it is not the one that was read before.
    ///
    /// # Errors
    /// It cannot be read. What was read before stays what it is.
    pub async fn changed(&mut self) -> anyhow::Result<Option<String>> {
        let text = match &mut self.place {
            Place::File(path) => {
                let bytes = tokio::fs::read(&*path).await;
                let bytes =
                    bytes.with_context(|| format!("cannot read the supergraph {}", path.display()))?;
                ensure!(bytes.len() <= MOST_BYTES, "the supergraph {} is too large", path.display());
                Some(String::from_utf8(bytes).with_context(|| format!("{} is not UTF-8", path.display()))?)
            }
            Place::Url { url, client, tag } => fetch(url, client, tag).await?,
        };
        let Some(text) = text.filter(|text| self.seen.as_ref() != Some(text)) else { return Ok(None) };
        self.seen = Some(text.clone());
        Ok(Some(text))
    }

    /// What it is called in messages: without what a URL may have of secrets.
    pub fn name(&self) -> String {
        match &self.place {
            Place::File(path) => path.display().to_string(),
            Place::Url { url, .. } => without_secrets(url),
        }
    }
}

fn without_secrets(url: &Url) -> String {
    format!("{}://{}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}

/// `None` if it is the one that was there before.
async fn fetch(
    url: &Url,
    client: &reqwest::Client,
    tag: &mut Option<header::HeaderValue>,
) -> anyhow::Result<Option<String>> {
    let name = without_secrets(url);
    let mut request = client.get(url.clone());
    if let Some(tag) = &*tag {
        request = request.header(header::IF_NONE_MATCH, tag.clone());
    }
    let sent = request.send().await.map_err(reqwest::Error::without_url);
    let mut response = sent.with_context(|| format!("cannot fetch the supergraph from {name}"))?;
    match response.status() {
        StatusCode::NOT_MODIFIED => return Ok(None),
        StatusCode::OK => {}
        status => bail!("the supergraph at {name} is not there: status {status}"),
    }
    let new_tag = response.headers().get(header::ETAG).cloned();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        ensure!(bytes.len() + chunk.len() <= MOST_BYTES, "the supergraph at {name} is too large");
        bytes.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(bytes).with_context(|| format!("the supergraph at {name} is not UTF-8"))?;
    *tag = new_tag;
    Ok(Some(text))
}
