//! Where the supergraph comes from: a file, a URL, or subgraphs that it is composed of; looked at again and again.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::{StatusCode, Url, header};

use super::subgraphs::Subgraphs;

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
    Subgraphs(Box<Subgraphs>),
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

    /// Subgraphs, whose supergraph is composed here.
    pub fn composed(subgraphs: Subgraphs) -> Self {
        Self { place: Place::Subgraphs(Box::new(subgraphs)), seen: None }
    }

    /// The supergraph, if it is not the one that was read before.
    ///
    /// # Errors
    /// It cannot be read. What was read before stays what it is. [`Problems`](crate::gateway::compose::Problems) if
    /// subgraphs cannot be composed.
    pub async fn changed(&mut self) -> anyhow::Result<Option<String>> {
        let text = match &mut self.place {
            // It knows by itself what is new.
            Place::Subgraphs(subgraphs) => return Ok(subgraphs.changed().await?),
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
            Place::Subgraphs(_) => "the composition".to_owned(),
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::extract::State;
    use axum::http::HeaderMap;
    use axum::response::{IntoResponse, Response};
    use axum::routing::get;
    use futures_util::stream;
    use tokio::net::TcpListener;

    use super::*;

    /// What a server of supergraphs has, and what it was asked.
    #[derive(Default)]
    struct Shelf {
        status: u16,
        text: &'static str,
        tag: Option<&'static str>,
        /// Of each request the tag of what it knows.
        asked: Vec<Option<String>>,
    }

    type Shared = Arc<Mutex<Shelf>>;

    async fn serve(State(shelf): State<Shared>, headers: HeaderMap) -> Response {
        let mut shelf = shelf.lock().unwrap();
        let known = headers.get(header::IF_NONE_MATCH).map(|tag| tag.to_str().unwrap().to_owned());
        shelf.asked.push(known.clone());
        if known.is_some() && known.as_deref() == shelf.tag {
            return StatusCode::NOT_MODIFIED.into_response();
        }
        let mut response = (StatusCode::from_u16(shelf.status).unwrap(), shelf.text).into_response();
        if let Some(tag) = shelf.tag {
            response.headers_mut().insert(header::ETAG, header::HeaderValue::from_static(tag));
        }
        response
    }

    /// So many bytes, without an announcement.
    async fn large() -> Body {
        const PIECE: usize = 1 << 20;
        let piece = Bytes::from(vec![b' '; PIECE]);
        let pieces = (0..=MOST_BYTES / PIECE).map(move |_| Ok::<_, std::io::Error>(piece.clone()));
        Body::from_stream(stream::iter(pieces))
    }

    async fn server(shelf: Shared) -> String {
        let router = Router::new().route("/one", get(serve)).route("/large", get(large)).with_state(shelf);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        format!("http://{address}")
    }

    /// What was read is asked for by its tag, and comes once; without a tag it is compared.
    #[tokio::test]
    async fn a_supergraph_at_a_url_comes_once() {
        let shelf = Shared::default();
        let mut source = Source::new(&format!("{}/one?key=hush", server(shelf.clone()).await)).unwrap();
        let mut look = async |status, text, tag| {
            (shelf.lock().unwrap().status, shelf.lock().unwrap().text) = (status, text);
            shelf.lock().unwrap().tag = tag;
            let found = source.changed().await.map_err(|error| format!("{error:#}"));
            (found, shelf.lock().unwrap().asked.pop().unwrap())
        };
        let (one, two) = (Some("\"1\""), Some("\"2\""));
        let known = |tag: Option<&str>| tag.map(str::to_owned);
        let text = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(look(200, "a", one).await, (text("a"), None));
        assert_eq!(look(200, "a", one).await, (Ok(None), known(one)));
        assert_eq!(look(200, "b", two).await, (text("b"), known(one)));
        let (failed, _) = look(500, "c", one).await;
        let error = failed.unwrap_err();
        assert!(error.contains("status 500") && !error.contains("hush"), "{error}");
        assert_eq!(look(200, "b", two).await, (Ok(None), known(two)), "what was read stays what it is");
        assert_eq!(look(200, "b", None).await, (Ok(None), known(two)));
        assert_eq!(look(200, "b", None).await, (Ok(None), None), "the same, though nobody says so");
        assert_eq!(look(200, "c", None).await, (text("c"), None));
    }

    /// Wherever it is: what is so large is no supergraph, and is not held.
    #[tokio::test]
    async fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("supergraph.graphql");
        std::fs::File::create(&path).unwrap().set_len(MOST_BYTES as u64 + 1).unwrap();
        for place in [path.display().to_string(), format!("{}/large", server(Shared::default()).await)] {
            let error = Source::new(&place).unwrap().changed().await.unwrap_err().to_string();
            assert!(error.contains("is too large"), "{error}");
        }
    }
}
