//! Sessions: both eras, what a person types, cancellation and progress.

use std::time::Duration;

use containarium_mcp::{Tools, serve};
use rmcp::{
    ClientHandler, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, ClientRequest, ProgressNotificationParam, ProtocolVersion, Request,
    },
    service::{
        ClientLifecycleMode, ClientServiceExt, NotificationContext, PeerRequestOptions,
        RequestHandle, RunningService,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    sync::mpsc,
};

use super::daemon::{Daemon, OPERATION, operation};

/// A client that passes on the progress it is told of.
#[derive(Clone)]
pub(crate) struct Listener(mpsc::UnboundedSender<ProgressNotificationParam>);

impl ClientHandler for Listener {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let _ = self.0.send(progress);
    }
}

pub(crate) type Session = RunningService<RoleClient, Listener>;

fn legacy() -> ClientLifecycleMode {
    ClientLifecycleMode::Initialize
}

fn modern() -> ClientLifecycleMode {
    ClientLifecycleMode::Discover {
        preferred_versions: vec![ProtocolVersion::V_2026_07_28],
    }
}

/// A session with the tools of `daemon`, and the progress that it is told of.
pub(crate) async fn session(
    daemon: &Daemon,
    lifecycle: ClientLifecycleMode,
) -> (Session, mpsc::UnboundedReceiver<ProgressNotificationParam>) {
    let (near, far) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(far);
    tokio::spawn(serve(input, output, daemon.client(), None));
    let (heard, progress) = mpsc::unbounded_channel();
    (
        Listener(heard)
            .serve_with_lifecycle(near, lifecycle)
            .await
            .unwrap(),
        progress,
    )
}

/// Calls a tool in a session of the handshake's era; the result as it travels.
pub(crate) async fn call(daemon: &Daemon, tool: &'static str, arguments: Value) -> Value {
    let (session, _) = session(daemon, legacy()).await;
    serde_json::to_value(session.call_tool(params(tool, arguments)).await.unwrap()).unwrap()
}

fn params(tool: &'static str, arguments: Value) -> CallToolRequestParams {
    let Value::Object(arguments) = arguments else {
        panic!("not an object: {arguments}")
    };
    CallToolRequestParams::new(tool).with_arguments(arguments)
}

#[tokio::test]
async fn both_eras_list_the_tools_and_call_one() {
    for lifecycle in [legacy(), modern()] {
        let daemon = Daemon::start().await;
        let (session, _) = session(&daemon, lifecycle).await;
        assert_eq!(session.list_all_tools().await.unwrap().len(), 17);
        let answer = session
            .call_tool(params("list_containers", json!({})))
            .await
            .unwrap();
        let structured = answer.structured_content.unwrap();
        assert_eq!(structured["containers"][0]["username"], "alice");
    }
}

#[tokio::test]
async fn structured_content_and_text_hold_the_same_data() {
    let daemon = Daemon::start().await;
    let answer = call(&daemon, "get_container", json!({"username": "alice"})).await;
    let text = answer["content"][0]["text"].as_str().unwrap();
    let read: Value = serde_json::from_str(text).unwrap();
    assert_eq!(read, answer["structuredContent"]);
    assert_eq!(read["container"], super::daemon::container());
}

/// A person at the keyboard: lines in, lines out.
pub(crate) struct Typist {
    input: Option<tokio::io::WriteHalf<DuplexStream>>,
    output: tokio::io::Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>,
}

impl Typist {
    fn sit_down(daemon: &Daemon) -> Self {
        Self::before(daemon.client())
    }

    pub(crate) fn before(tools: impl Into<Tools>) -> Self {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = tokio::io::split(far);
        tokio::spawn(serve(input, output, tools.into(), None));
        let (output, input) = tokio::io::split(near);
        Self {
            input: Some(input),
            output: BufReader::new(output).lines(),
        }
    }

    pub(crate) async fn types(&mut self, line: &str) {
        let input = self.input.as_mut().unwrap();
        input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    pub(crate) async fn reads(&mut self) -> Value {
        self.reads_within(Duration::from_secs(10)).await
    }

    pub(crate) async fn reads_within(&mut self, patience: Duration) -> Value {
        let line = self.output.next_line();
        let line = tokio::time::timeout(patience, line).await.expect("a line");
        serde_json::from_str(&line.unwrap().expect("not the end")).unwrap()
    }
}

const TYPED: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;

#[tokio::test]
async fn after_a_typed_initialize_tools_work_at_once() {
    let daemon = Daemon::start().await;
    let mut typist = Typist::sit_down(&daemon);
    typist.types(TYPED).await;
    assert_eq!(
        typist.reads().await["result"]["serverInfo"]["name"],
        "containarium"
    );
    typist
        .types(r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#)
        .await;
    assert_eq!(
        typist.reads().await["result"]["tools"][0]["name"],
        "create_container"
    );
    typist
        .types(
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"get_system_info"}}"#,
        )
        .await;
    let answer = typist.reads().await;
    assert_eq!(
        answer["result"]["structuredContent"]["info"]["containersTotal"],
        1
    );
}

/// The versions whose sessions open with a handshake.
pub(crate) const HANDSHAKES: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

#[tokio::test]
async fn every_version_with_a_handshake_is_spoken_as_it_is_asked_for() {
    for version in HANDSHAKES {
        let daemon = Daemon::start().await;
        let mut typist = Typist::sit_down(&daemon);
        let hello = json!({
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        });
        for line in [
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
            json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_containers"}}),
        ] {
            typist.types(&line.to_string()).await;
        }
        assert_eq!(typist.reads().await["result"]["protocolVersion"], version);
        let answer = typist.reads().await;
        let text = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains("alice-container"), "{version}: {text}");
    }
}

#[tokio::test]
async fn nothing_that_is_typed_is_met_with_silence() {
    let daemon = Daemon::start().await;
    let mut typist = Typist::sit_down(&daemon);
    // Before the session, in it, and whatever is wrong with the line.
    typist
        .types(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
        .await;
    for opened in [false, true] {
        typist.types("hello?").await;
        let answer = typist.reads().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&Value::Null, &json!(-32700))
        );
        for (line, id, code) in [
            ("[]", Value::Null, -32600),
            ("17", Value::Null, -32600),
            (r#"{"jsonrpc":"2.0","id":7}"#, json!(7), -32600),
            (
                r#"{"jsonrpc":"1.0","id":"x","method":"tools/list"}"#,
                json!("x"),
                -32600,
            ),
        ] {
            typist.types(line).await;
            let answer = typist.reads().await;
            assert_eq!(
                (&answer["id"], &answer["error"]["code"]),
                (&id, &json!(code)),
                "{line}"
            );
        }
        if !opened {
            typist.types(TYPED).await;
            assert_eq!(typist.reads().await["id"], 1);
        }
    }
    for (line, code) in [
        (
            r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"no_such"}}"#,
            -32602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{}}"#,
            -32602,
        ),
        (r#"{"jsonrpc":"2.0","id":8,"method":"tools/run"}"#, -32601),
    ] {
        typist.types(line).await;
        let answer = typist.reads().await;
        assert_eq!(
            (&answer["id"], &answer["error"]["code"]),
            (&json!(8), &json!(code)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_end_of_the_input_waits_for_the_answers() {
    let daemon = Daemon::start().await;
    let mut typist = Typist::sit_down(&daemon);
    typist.types(TYPED).await;
    typist
        .types(
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"list_containers"}}"#,
        )
        .await;
    typist.input.take().unwrap().shutdown().await.unwrap();
    assert_eq!(typist.reads().await["id"], 1);
    assert_eq!(
        typist.reads().await["result"]["structuredContent"]["totalCount"],
        1
    );
}

/// A daemon that takes a request, tells of it, and then of the connection's end; it never answers.
async fn silent_daemon() -> (String, mpsc::UnboundedReceiver<&'static str>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = [0; 65536];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut bytes).await;
        assert!(read.unwrap() > 0);
        tell.send("asked").unwrap();
        while tokio::io::AsyncReadExt::read(&mut stream, &mut bytes)
            .await
            .unwrap_or(0)
            > 0
        {}
        tell.send("hung up").unwrap();
    });
    (url, told)
}

/// A session with these tools, the progress it hears, and a call of one that can be cancelled.
async fn begun(
    client: containarium_client::Client,
    tool: &'static str,
) -> (
    Session,
    mpsc::UnboundedReceiver<ProgressNotificationParam>,
    RequestHandle<RoleClient>,
) {
    let (near, far) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { Tools::new(client).serve(far).await.unwrap().waiting().await });
    let (heard, progress) = mpsc::unbounded_channel();
    let session = Listener(heard).serve(near).await.unwrap();
    let call = params(tool, json!({"username": "alice"}));
    let request = ClientRequest::CallToolRequest(Request::new(call));
    let options = PeerRequestOptions::no_options();
    let handle = session.send_cancellable_request(request, options).await;
    (session, progress, handle.unwrap())
}

#[tokio::test]
async fn a_cancelled_call_hangs_up_and_progress_is_told_at_once() {
    for (tool, doing) in [
        ("start_container", "starting"),
        ("create_container", "creating"),
    ] {
        let (url, mut told) = silent_daemon().await;
        let token = containarium_client::Token::fixed("t");
        let face = containarium_contract::Face::Mcp;
        let client = containarium_client::Client::new(&url, token, face).unwrap();
        let (_session, mut progress, handle) = begun(client, tool).await;
        let first = progress.recv().await.unwrap();
        let wanted = format!("{doing} alice-container: 0 s");
        assert_eq!(first.message, Some(wanted));
        assert_eq!(told.recv().await, Some("asked"));
        handle.cancel(None).await.unwrap();
        assert_eq!(told.recv().await, Some("hung up"), "{tool}");
    }
}

/// A daemon whose creates and starts begin and never end.
async fn endless() -> Daemon {
    Daemon::answering(|asked| {
        let step = json!([{"name": "prepare_image", "state": "running",
                           "doing": "downloading images:debian/13", "progress": 40}]);
        let begun = json!({"operation": operation("running", json!({"steps": step}))});
        match asked.split_once(' ').unwrap() {
            (_, path) if path.starts_with("/v1/events") => (404, "{}".to_owned()),
            ("POST", "/v1/containers" | "/v1/containers/alice/start") => (202, begun.to_string()),
            _ => (200, begun.to_string()),
        }
    })
    .await
}

/// Waits until the daemon was asked something that begins so.
async fn asked(daemon: &Daemon, what: &str) {
    let was = async {
        while !daemon
            .asked()
            .iter()
            .any(|(line, _)| line.starts_with(what))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let was = tokio::time::timeout(Duration::from_secs(10), was).await;
    was.unwrap_or_else(|_| panic!("{what}: {:?}", daemon.asked()));
}

#[tokio::test]
async fn a_create_that_is_cancelled_is_undone_and_a_start_is_not() {
    let cancel = format!("POST /v1/operations/{OPERATION}/cancel");
    let daemon = endless().await;
    let (_session, _progress, handle) = begun(daemon.client(), "create_container").await;
    asked(&daemon, "GET /v1/operations").await;
    handle.cancel(None).await.unwrap();
    asked(&daemon, &cancel).await;

    let daemon = endless().await;
    let (session, _progress, handle) = begun(daemon.client(), "start_container").await;
    asked(&daemon, "GET /v1/operations").await;
    handle.cancel(None).await.unwrap();
    // Answered after the cancellation was read.
    session.list_all_tools().await.unwrap();
    let lines = daemon.asked();
    assert!(!lines.iter().any(|(line, _)| *line == cancel), "{lines:?}");
}

#[tokio::test]
async fn progress_tells_the_step_and_only_grows() {
    let daemon = endless().await;
    let (_session, mut progress, _handle) = begun(daemon.client(), "create_container").await;
    let mut last = -1.0;
    loop {
        let sign = tokio::time::timeout(Duration::from_secs(20), progress.recv()).await;
        let sign = sign.expect("a sign").unwrap();
        assert!(sign.progress > last, "{sign:?} after {last}");
        last = sign.progress;
        let message = sign.message.unwrap();
        if message.contains(": downloading images:debian/13, 40 %, ") {
            assert_eq!(sign.total, Some(100.0));
            assert!(sign.progress >= 10.0 && sign.progress < 11.0, "{last}");
            break;
        }
    }
}

#[tokio::test]
async fn an_operation_that_fails_reads_as_the_call_itself_would() {
    const PROBLEM: &str = r#"{"error":"no space is left","code":507,"reason":"insufficient_storage","hint":"call list_containers"}"#;
    let daemon = Daemon::answering(|asked| {
        let error: Value = serde_json::from_str(PROBLEM).unwrap();
        let failed = json!({"operation": operation("failed", json!({ "error": error }))});
        let begun = json!({"operation": operation("running", json!({}))});
        match asked {
            "POST /v1/containers" => (202, begun.to_string()),
            _ => (200, failed.to_string()),
        }
    })
    .await;
    let result = call(&daemon, "create_container", json!({"username": "alice"})).await;
    assert_eq!(result["isError"], true);
    assert_eq!(
        result["content"][0]["text"],
        format!("API error (status 507): {PROBLEM}\nHint: call list_containers")
    );
}
