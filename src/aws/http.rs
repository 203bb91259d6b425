//! The SDK's HTTP over the client that the Azure wing uses too. An answer is bounded, but for the content of an object.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;
use reqwest::{Body, Request};

use crate::http_client;

/// A client that the SDK can use.
#[derive(Clone, Debug)]
pub(super) struct SharedClient {
    client: http_client::HttpClient,
    most_bytes: usize,
}

impl SharedClient {
    /// Of an answer at most so many bytes are read.
    pub(super) const fn new(client: http_client::HttpClient, most_bytes: usize) -> Self {
        Self { client, most_bytes }
    }
}

impl HttpClient for SharedClient {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for SharedClient {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { client, most_bytes } = self.clone();
        // The SDK writes the operation's name into the query.
        let reads_object = request.uri().contains("x-id=GetObject");
        HttpConnectorFuture::new(async move {
            let user = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
            let request = request.try_into_http1x().map_err(|error| user(error.into()))?;
            // Nothing that we send to AWS is streamed: every body lies in memory.
            let request = request.map(|body| Body::from(body.bytes().unwrap_or_default().to_vec()));
            let request = Request::try_from(request).map_err(|error| user(error.into()))?;
            let response = client.execute(request).await.map_err(|error| {
                if error.is_timeout() {
                    ConnectorError::timeout(error.into())
                } else {
                    ConnectorError::io(error.into())
                }
            })?;
            let is_object = reads_object && response.status().is_success();
            let response = http::Response::from(response).map(|body| {
                if is_object {
                    SdkBody::from_body_1_x(body)
                } else {
                    SdkBody::from_body_1_x(Limited::new(body, most_bytes))
                }
            });
            HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}
