//! The calls to a provider: by our own client, bounded in time and size, without redirects, behind a circuit.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use super::OpenId;
use super::failure::CallError;
use crate::platform::client::read;
use crate::platform::line::Caller;

/// The library's calls, by our own client.
impl<'c> AsyncHttpClient<'c> for OpenId {
    type Error = CallError;
    type Future = BoxFuture<'c, Result<HttpResponse, CallError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.try_call(request).boxed()
    }
}

impl OpenId {
    async fn try_call(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        self.line.admit(Caller::Person).await.map_err(|error| CallError::NotSent(error.to_string()))?;
        let is_fault = |_: &CallError| true;
        match self.circuit.call_with(is_fault, self.send(request)).await {
            Ok(response) => Ok(response),
            Err(recloser::Error::Inner(error)) => Err(error),
            Err(recloser::Error::Rejected) => Err(CallError::NotSent("too many calls have failed".into())),
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, CallError> {
        let not_sent = |error: reqwest::Error| CallError::NotSent(error.without_url().to_string());
        let mut request: reqwest::Request = request.try_into().map_err(not_sent)?;
        request.headers_mut().extend(self.line.headers());
        let mut response = self.line.calls.http.execute(request).await.map_err(|error| {
            if error.is_connect() {
                return not_sent(error);
            }
            CallError::Unanswered(error.without_url().to_string())
        })?;
        let status = response.status();
        if status.is_server_error() || status.as_u16() == 429 {
            return Err(CallError::Unanswered(format!("status {status}")));
        }
        let body = read(&mut response).await.map_err(CallError::Unanswered)?;
        let mut answer = HttpResponse::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        Ok(answer)
    }
}
