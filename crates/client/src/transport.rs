//! The way a request takes to the daemon: over a connection, or, for a face that runs in the daemon
//! itself, into its router. What is asked is the same on both.
//!
//! TLS is set up by the first request that needs it: the system's root certificates are many, and a
//! program that starts may have to answer before it has anything to ask.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use reqwest::{Body, Client, Request, RequestBuilder, Response};
use sync_wrapper::SyncWrapper;
use tokio::time::timeout;
use tower_service::Service;

use crate::{BaseUrl, Why, dial};

type Answered = Pin<Box<dyn Future<Output = http::Response<Body>> + Send>>;

/// A client that speaks TLS, or why there is none.
type Secured = LazyLock<Result<Client, String>, Box<dyn FnOnce() -> Result<Client, String> + Send>>;

/// How requests travel. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Transport {
    /// Writes every request, and sends those without TLS.
    http: Client,
    way: Way,
}

#[derive(Clone)]
enum Way {
    Plain,
    Secured(Arc<Secured>),
    Within(Arc<dyn Fn(http::Request<Body>) -> Answered + Send + Sync>),
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.way {
            Way::Plain => "Plain",
            Way::Secured(_) => "Secured",
            Way::Within(_) => "Within",
        })
    }
}

impl Transport {
    /// Over connections without TLS.
    pub(crate) fn plain(http: Client) -> Self {
        Self {
            http,
            way: Way::Plain,
        }
    }

    /// Over TLS, by the client that `secured` makes at the first request; `http` only writes the requests.
    pub(crate) fn secured(
        http: Client,
        secured: impl FnOnce() -> Result<Client, String> + Send + 'static,
    ) -> Self {
        let secured: Box<dyn FnOnce() -> Result<Client, String> + Send> = Box::new(secured);
        Self {
            http,
            way: Way::Secured(Arc::new(LazyLock::new(secured))),
        }
    }

    /// Into `service`; `http` only writes the requests.
    pub(crate) fn within<S, B>(http: Client, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let within = move |request| -> Answered {
            let mut service = service.clone();
            Box::pin(async move {
                let Ok(answer) = service.call(request).await;
                answer.map(|body| Body::wrap(Shared(SyncWrapper::new(Box::pin(body)))))
            })
        };
        Self {
            http,
            way: Way::Within(Arc::new(within)),
        }
    }

    /// A request to be written and then [sent](Self::send).
    pub(crate) fn request(&self, method: http::Method, url: reqwest::Url) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends what was written, within the time that it says.
    pub(crate) async fn send(
        &self,
        server: &BaseUrl,
        written: RequestBuilder,
    ) -> Result<Response, Why> {
        let connection = |e: reqwest::Error| dial::why(server, &e);
        let request = written.build().map_err(connection)?;
        let within = match &self.way {
            Way::Plain => return self.http.execute(request).await.map_err(connection),
            Way::Secured(secured) => {
                let https = LazyLock::force(secured).as_ref();
                let https = https.map_err(|text| Why::NoTls { text: text.clone() })?;
                return https.execute(request).await.map_err(connection);
            }
            Way::Within(within) => within,
        };
        let patience = request.timeout().copied();
        let answered = within(for_a_service(request).map_err(connection)?);
        let answer = match patience {
            Some(patience) => timeout(patience, answered).await.map_err(|_| {
                let address = server.address();
                Why::AnswerTimeout { address }
            })?,
            None => answered.await,
        };
        Ok(answer.into())
    }
}

fn for_a_service(request: Request) -> Result<http::Request<Body>, reqwest::Error> {
    request.try_into()
}

/// A body that only ever one task reads, which its type need not say.
struct Shared<B>(SyncWrapper<Pin<Box<B>>>);

impl<B: HttpBody> HttpBody for Shared<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.0.get_mut().as_mut().poll_frame(context)
    }
}
