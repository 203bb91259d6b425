//! The SDK's HTTP for an operator: each call is told at level DEBUG, by host, operation, status and time; no header, body
//! or query is.

use std::time::Instant;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tracing::debug;

use super::http::SharedClient;

/// A client that tells of its calls.
#[derive(Clone, Debug)]
pub(super) struct TracedClient(pub(super) SharedClient);

impl HttpClient for TracedClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for TracedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = request.uri().split('?').next().unwrap_or_default().to_owned();
        let operation = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let (method, inner, began) = (request.method().to_owned(), self.0.clone(), Instant::now());
        HttpConnectorFuture::new(async move {
            let answer = inner.call(request).await;
            let told = match &answer {
                Ok(answer) => answer.status().as_u16().to_string(),
                Err(error) => error.to_string(),
            };
            let milliseconds = began.elapsed().as_millis();
            debug!("AWS: {method} {host} {operation}: {told} after {milliseconds} ms");
            answer
        })
    }
}
