//! The whole face on one page: every endpoint and what answers it.

use std::sync::Arc;

use axum::{
    Extension, Router,
    body::Body,
    http::{HeaderName, HeaderValue, Response},
    middleware,
    routing::get,
};
use containarium_contract::{
    AddSshKey, AdoptContainers, CancelOperation, CreateContainer, DeleteContainer, DeleteImage,
    GetContainer, GetMetrics, GetOperation, GetSystemInfo, HostEngine, ListContainers, ListImages,
    ListLeaks, ListMetrics, ListOperations, ListSshKeys, ListUnclaimed, ListenEvents, OpenTunnel,
    PrepareImage, Problem, PurgeUnclaimed, Reason, RemoveSshKey, Spec, StartContainer,
    StopContainer, UndeleteContainer, WaitOperation,
};
use containarium_core::Containarium;
use secrecy::SecretSlice;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    api::Api,
    authenticate::{Caller, Secret, authenticate, trace},
    docs,
    health::{health, ready},
    openapi::openapi,
    page::Page,
    prometheus::prometheus,
    respond::{answer, fixed, panicked},
    tunnel::Tunnels,
};

fn api() -> Api {
    Api::new()
        .on_change(async |core: Containarium, asked, ask: CreateContainer| {
            core.begin_create(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: DeleteContainer| {
            core.begin_delete(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: UndeleteContainer| {
            core.begin_undelete(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: StartContainer| {
            core.begin_start(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: StopContainer| {
            core.begin_stop(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: AddSshKey| {
            core.begin_add_ssh_key(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: RemoveSshKey| {
            core.begin_remove_ssh_key(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: PrepareImage| {
            core.begin_prepare_image(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: DeleteImage| {
            core.begin_delete_image(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: AdoptContainers| {
            core.begin_adopt(asked, ask).await
        })
        .on_change(async |core: Containarium, asked, ask: PurgeUnclaimed| {
            core.begin_purge_unclaimed(asked, ask).await
        })
        .on(
            async |core: Containarium, by: Caller, ask: ListContainers| {
                core.list(&by.principal, ask).await
            },
        )
        .on(async |core: Containarium, by: Caller, ask: GetContainer| {
            core.get(&by.principal, ask).await
        })
        .on(async |core: Containarium, by: Caller, ask: ListSshKeys| {
            core.list_ssh_keys(&by.principal, ask).await
        })
        .on(async |core: Containarium, by: Caller, _: ListMetrics| {
            core.list_metrics(&by.principal).await
        })
        .on(async |core: Containarium, by: Caller, ask: GetMetrics| {
            core.get_metrics(&by.principal, ask).await
        })
        .on(async |core: Containarium, _: Caller, _: GetSystemInfo| core.system_info().await)
        .on(async |core: Containarium, by: Caller, ask: ListImages| {
            core.list_images(&by.principal, ask).await
        })
        .on(
            async |core: Containarium, by: Caller, ask: ListOperations| {
                core.list_operations(&by.principal, by.face, ask).await
            },
        )
        .on(async |core: Containarium, by: Caller, ask: GetOperation| {
            core.get_operation(&by.principal, by.face, ask).await
        })
        .on(async |core: Containarium, by: Caller, ask: WaitOperation| {
            core.wait_operation(&by.principal, by.face, ask).await
        })
        .on(
            async |core: Containarium, by: Caller, ask: CancelOperation| {
                core.cancel_operation(&by.principal, by.face, ask).await
            },
        )
        .on(async |core: Containarium, by: Caller, ask: ListLeaks| {
            core.leaks(&by.principal, ask).await
        })
        .on(async |core: Containarium, by: Caller, ask: ListUnclaimed| {
            core.unclaimed(&by.principal, ask).await
        })
        .on_events(
            async |core: Containarium, by: Caller, ask: ListenEvents, after| {
                core.listen_events(&by.principal, ask, after).await
            },
        )
        .on_tunnel(async |core: Containarium, who, ask: OpenTunnel| {
            core.open_tunnel(&who, ask).await
        })
}

/// Every endpoint that is served.
pub fn specs() -> Vec<Spec> {
    api().into_parts().1
}

/// The daemon's routes over `service`, for tokens signed with `secret`. What they open stays in
/// `tunnels`.
pub fn router(service: Containarium, secret: SecretSlice<u8>, tunnels: Tunnels) -> Router {
    let (endpoints, specs) = api().into_parts();
    let secret = Secret(Arc::new(secret));
    let document = openapi(&specs);
    let page = fixed("text/html; charset=utf-8", docs::page(&document));
    let document = fixed("application/json", format!("{document:#}"));
    let specs = Arc::new(specs);
    let wrong_method = move |request: axum::extract::Request| {
        let specs = Arc::clone(&specs);
        async move { method_not_allowed(&specs, request.uri().path()) }
    };
    let simulated = service.is_simulated();
    let router = endpoints
        .route(Page::Metrics.path(), get(prometheus))
        .method_not_allowed_fallback(wrong_method)
        .route_layer(Extension(tunnels))
        .route_layer(middleware::from_fn_with_state(secret, authenticate))
        .route(Page::Health.path(), get(health))
        .route(Page::Ready.path(), get(ready))
        .route(Page::OpenApi.path(), get(document))
        .route(Page::Docs.path(), get(page))
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(trace))
        .with_state(service);
    if simulated {
        router.layer(middleware::map_response(mark_simulated))
    } else {
        router
    }
}

/// Says of every answer, whatever it is, that nothing real is behind it.
async fn mark_simulated(mut response: Response<Body>) -> Response<Body> {
    let name = HeaderName::from_static(HostEngine::HEADER);
    let sim = HeaderValue::from_static(HostEngine::SIM);
    response.headers_mut().insert(name, sim);
    response
}

async fn not_found() -> Response<Body> {
    answer(&Problem::new(
        Reason::NotFound,
        "there is nothing at this path",
    ))
}

fn method_not_allowed(specs: &[Spec], path: &str) -> Response<Body> {
    let fits = |spec: &&Spec| {
        let (a, b) = (spec.path.split('/'), path.split('/'));
        a.clone().count() == b.clone().count()
            && a.zip(b)
                .all(|(part, given)| part.starts_with('{') || part == given)
    };
    let methods: Vec<&str> = specs
        .iter()
        .filter(fits)
        .map(|spec| spec.method.as_str())
        .collect();
    let allowed = if methods.is_empty() {
        "GET".to_owned()
    } else {
        methods.join(", ")
    };
    let mut response = answer(&Problem::new(
        Reason::MethodNotAllowed,
        format!("this path takes {allowed} only"),
    ));
    if let Ok(value) = allowed.parse() {
        response
            .headers_mut()
            .insert(axum::http::header::ALLOW, value);
    }
    response
}
