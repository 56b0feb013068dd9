//! Any handler behind the same HTTP endpoint as the tools, on a free port that is printed.

use axum::{Router, body::Body, extract::Request};
use containarium_mcp::Endpoint;
use rmcp::ServerHandler;
use tokio_util::sync::CancellationToken;

pub(crate) async fn serve<S: ServerHandler + Clone + Send + 'static>(
    handler: impl Fn() -> S + Send + Sync + 'static,
) -> std::io::Result<()> {
    let endpoint = Endpoint::new(handler, &[], CancellationToken::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/mcp", listener.local_addr()?);
    let answer = move |request: Request| {
        let endpoint = endpoint.clone();
        async move { endpoint.answer("suite", request).await.map(Body::new) }
    };
    axum::serve(
        listener,
        Router::new().route("/mcp", axum::routing::any(answer)),
    )
    .await
}
