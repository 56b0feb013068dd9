//! A person's word for what cannot be taken back: they are asked through the client to type a name,
//! in both eras of the protocol. A model cannot give it, and neither can a client that cannot ask.
//!
//! What is asked is sealed for a minute to who asks, the tool, its arguments and the one container
//! that was there when the person was asked; made anew under the same name it is another one.

use std::{collections::BTreeMap, time::Duration};

use containarium_contract::{ContainerId, Username};
use rmcp::{
    RoleServer,
    model::{
        CallToolRequestParams, ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationSchema, InputRequest, InputRequiredResult, JsonObject, ProtocolVersion,
        SealOptions,
    },
    service::RequestContext,
};
use serde_json::Value;

use crate::seal::Seal;

/// How long an answer counts.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// The one field of the form, and the key of the one question.
const FIELD: &str = "name";
const QUESTION: &str = "confirm";

/// What would be gone for good.
#[derive(Debug)]
pub(crate) struct Stake {
    /// Whose container.
    pub(crate) username: Username,
    /// Which of that name.
    pub(crate) id: Option<ContainerId>,
    /// What the person is told, in a sentence or two.
    pub(crate) sentence: String,
    /// How a person does it where the client cannot ask.
    pub(crate) command: String,
}

/// What came of asking.
pub(crate) enum Word {
    /// A person has typed the name, for this container.
    Given(Option<ContainerId>),
    /// The client is to ask, and to call again with what it was told.
    Ask(Box<InputRequiredResult>),
    /// Nothing is done, and why.
    Refused(String),
}

/// Whoever holds the seal can ask.
pub(crate) struct Asking<'a> {
    pub(crate) seal: &'a Seal,
    /// Who asks, as the token says.
    pub(crate) principal: String,
    pub(crate) call: &'a CallToolRequestParams,
    pub(crate) context: &'a RequestContext<RoleServer>,
}

impl Asking<'_> {
    /// Asks for the word on `stake`, or reads the answer that came with the call.
    pub(crate) async fn word(&self, stake: Stake) -> Word {
        let can = self.context.client_capabilities();
        let can = can.and_then(|can| can.elicitation);
        if !can.is_some_and(|can| can.form.is_some() || can.url.is_none()) {
            return Word::Refused(format!(
                "this cannot be taken back, and this client cannot ask a person. A person may run \
                 `{}`; or delete_container keeps the container for a while",
                stake.command
            ));
        }
        let version = self.context.protocol_version();
        if version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28) {
            self.by_returning(stake)
        } else {
            self.by_calling(stake).await
        }
    }

    /// The newer way: the client asks and calls again.
    fn by_returning(&self, stake: Stake) -> Word {
        let Some(state) = &self.call.request_state else {
            let id = stake.id.as_ref().map(ToString::to_string);
            let options = SealOptions::new().ttl(GOOD_FOR);
            let bound = self.bound(&stake);
            let sealed = self.seal.codec().seal_with(
                id.unwrap_or_default().as_bytes(),
                &options.associated_data(&bound),
            );
            let question = InputRequest::Elicitation(ElicitRequest::new(form(&stake)));
            let questions = BTreeMap::from([(QUESTION.to_owned(), question)]);
            return Word::Ask(Box::new(InputRequiredResult::new(
                Some(questions),
                Some(sealed),
            )));
        };
        let opened = self.seal.codec().open_with(state, &self.bound(&stake));
        let Ok(sealed) = opened else {
            return Word::Refused(
                "the answer is over a minute old, or was given to another call; call again to ask anew"
                    .into(),
            );
        };
        let now = stake.id.as_ref().map(ToString::to_string);
        if sealed != now.unwrap_or_default().as_bytes() {
            return Word::Refused(format!(
                "{} is another container by now; call again to ask anew",
                stake.username.container_name()
            ));
        }
        let answers = self.call.input_responses.as_ref();
        let answer = answers.and_then(|answers| answers.get(QUESTION)).cloned();
        match answer.and_then(|answer| serde_json::from_value::<ElicitResult>(answer).ok()) {
            Some(answer) => judged(stake, &answer),
            None => Word::Refused("no answer came with the call; nothing was done".into()),
        }
    }

    /// The older way: the client is asked while its call waits.
    async fn by_calling(&self, stake: Stake) -> Word {
        let asked = self.context.peer.create_elicitation(form(&stake));
        match tokio::time::timeout(GOOD_FOR, asked).await {
            Ok(Ok(answer)) => judged(stake, &answer),
            Ok(Err(error)) => Word::Refused(format!(
                "the person could not be asked ({error}); nothing was done. A person may run `{}`",
                stake.command
            )),
            Err(_) => Word::Refused("nobody answered within a minute; nothing was done".into()),
        }
    }

    /// What a sealed question is bound to, beside the container.
    fn bound(&self, stake: &Stake) -> Vec<u8> {
        let none = JsonObject::new();
        let arguments = self.call.arguments.as_ref().unwrap_or(&none);
        let bound = (
            &self.principal,
            &self.call.name,
            arguments,
            stake.username.as_str(),
        );
        // Text and numbers always serialise; what would not could not be opened again.
        serde_json::to_vec(&bound).unwrap_or_default()
    }
}

fn form(stake: &Stake) -> ElicitRequestParams {
    let name = stake.username.container_name();
    let message = format!("{} Type {name} to remove it for good.", stake.sentence);
    let field = rmcp::model::StringSchema::new()
        .title("Name of the container")
        .description(format!("Type {name}"));
    ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema: ElicitationSchema::builder()
            .required_property(FIELD, rmcp::model::PrimitiveSchemaDefinition::String(field))
            .build_unchecked(),
    }
}

fn judged(stake: Stake, answer: &ElicitResult) -> Word {
    let name = stake.username.container_name();
    let typed = answer
        .content
        .as_ref()
        .and_then(|content| content.get(FIELD));
    let typed = typed.and_then(Value::as_str).map(str::trim);
    match answer.action {
        ElicitationAction::Accept if typed == Some(name.as_str()) => Word::Given(stake.id),
        ElicitationAction::Accept => Word::Refused(format!(
            "what was typed is not {name}; nothing was done. Call again only if the user asks for it"
        )),
        _ => Word::Refused(
            "the person did not agree; nothing was done. Do not ask again unless the user says so"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, extract::Request};
    use containarium_client::{Client, Token};
    use containarium_contract::Face;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};

    use super::*;
    use crate::{Tools, serve};

    const ID: &str = "01jd3zq8m4k6t1w9v5r2x7y0bc";

    /// The tools of a daemon with a container of alice's, and how often that was deleted.
    fn tools() -> (Tools, Arc<Mutex<u32>>) {
        let deletes = Arc::new(Mutex::new(0));
        let count = deletes.clone();
        let daemon = Router::new().fallback(async move |request: Request| {
            if request.method() == "DELETE" {
                *count.lock().unwrap() += 1;
            }
            json!({
                "container": {
                    "id": ID, "name": "alice-container", "username": "alice", "owner": "alice",
                    "state": "stopped", "resources": {"cpu": "4", "memory": "4GB", "disk": "50GB"},
                    "sshKeys": [], "createdAt": 1, "updatedAt": 2, "labels": {},
                    "image": "images:ubuntu/24.04", "dockerEnabled": true, "network": {
                        "ipAddress": "", "macAddress": "", "interface": "eth0", "bridge": "br0"
                    },
                },
                "engine": "ok", "message": "it is gone", "containerName": "alice-container",
            })
            .to_string()
        });
        let client = Client::within(daemon, Token::fixed("eyJtest"), Face::Mcp);
        (Tools::new(client), deletes)
    }

    /// What purge_container says to a client that can ask, with these fields beside its arguments.
    async fn purged(tools: &Tools, more: Value) -> Value {
        let mut call = json!({
            "name": "purge_container", "arguments": {"username": "alice"}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
            },
        });
        let mut lines = String::new();
        for (id, method) in ["server/discover", "tools/call"].iter().enumerate() {
            let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": call});
            lines += &format!("{line}\n");
            for (key, value) in more.as_object().unwrap() {
                call[key] = value.clone();
            }
        }
        let answer = served(tools, &lines).await.pop().unwrap();
        answer["result"].clone()
    }

    /// What is answered to these lines.
    async fn served(tools: &Tools, lines: &str) -> Vec<Value> {
        let (mut near, far) = tokio::io::duplex(1 << 16);
        let (input, output) = split(far);
        let serving = serve(input, output, tools.clone(), None);
        let heard = async {
            let mut told = String::new();
            near.write_all(lines.as_bytes()).await.unwrap();
            near.shutdown().await.unwrap();
            near.read_to_string(&mut told).await.unwrap();
            told
        };
        let (served, told) = tokio::join!(serving, heard);
        served.unwrap();
        let answers = told.lines().map(serde_json::from_str);
        answers.map(Result::unwrap).collect()
    }

    /// A question as this server seals it, asked of alice-container by `tool`.
    fn sealed(tools: &Tools, tool: &str, good_for: Option<Duration>) -> String {
        let bound = json!(["", tool, {"username": "alice"}, "alice"]).to_string();
        let options = SealOptions::new().associated_data(bound.as_bytes());
        let options = good_for.into_iter().fold(options, SealOptions::ttl);
        tools.seal.codec().seal_with(ID.as_bytes(), &options)
    }

    fn agreed(state: &str) -> Value {
        let typed = json!({"action": "accept", "content": {"name": "alice-container"}});
        json!({"requestState": state, "inputResponses": {"confirm": typed}})
    }

    #[tokio::test]
    async fn an_answer_to_another_tool_or_of_another_time_removes_nothing() {
        let (tools, deletes) = tools();
        let over = sealed(&tools, "purge_container", Some(Duration::ZERO));
        // Its millisecond is over when another one is sealed.
        while sealed(&tools, "purge_container", Some(Duration::ZERO)) == over {
            tokio::task::yield_now().await;
        }
        for state in [over, sealed(&tools, "delete_container", Some(GOOD_FOR))] {
            let told = purged(&tools, agreed(&state)).await;
            assert_eq!(told["isError"], true, "{told}");
            let said = told["content"][0]["text"].as_str().unwrap();
            assert!(
                said.starts_with("the answer is over a minute old"),
                "{said}"
            );
        }
        assert_eq!(*deletes.lock().unwrap(), 0);
        let good = sealed(&tools, "purge_container", Some(GOOD_FOR));
        let told = purged(&tools, agreed(&good)).await;
        assert_ne!(told["isError"], true, "{told}");
        assert_eq!(*deletes.lock().unwrap(), 1);
    }

    #[tokio::test]
    async fn only_a_question_makes_the_key() {
        let (tools, _) = tools();
        let lines = [
            r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"get_container","arguments":{"username":"alice"}}}"#,
        ];
        let answers = served(&tools, &lines.join("\n")).await;
        assert_eq!(answers.len(), 3, "{answers:?}");
        let failed =
            |answer: &Value| answer["result"].is_null() || answer["result"]["isError"] == true;
        assert!(!answers.iter().any(failed), "{answers:?}");
        assert!(!tools.seal.has_key());
        purged(&tools, json!({})).await;
        assert!(tools.seal.has_key());
    }

    #[tokio::test]
    async fn every_question_has_its_time() {
        let (tools, _) = tools();
        let asked = purged(&tools, json!({})).await;
        let for_ever = sealed(&tools, "purge_container", None);
        let body = |state: &str| state.split('.').nth(1).unwrap().to_owned();
        let asked = body(asked["requestState"].as_str().unwrap());
        // It begins with the time, eight bytes of it.
        let (time, rest) = asked.split_at(11);
        assert_eq!(rest, &body(&for_ever)[11..]);
        assert_ne!(time, &body(&for_ever)[..11]);
    }
}
