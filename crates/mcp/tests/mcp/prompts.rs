//! Prompts as a client gets them.

use serde_json::{Value, json};

use super::{
    daemon::Daemon,
    person::{ERAS, Era, Person},
};

async fn before(era: Era) -> Person {
    let daemon = Daemon::start().await;
    let mut person = Person::with(daemon.client(), era, json!({})).await;
    person.greets().await;
    person
}

async fn got(person: &mut Person, name: &str, arguments: Option<Value>) -> Value {
    let mut params = json!({"name": name});
    if let Some(arguments) = arguments {
        params["arguments"] = arguments;
    }
    person.asks("prompts/get", params).await
}

fn text(got: &Value) -> &str {
    let message = &got["result"]["messages"][0];
    assert_eq!(message["role"], "user", "{got}");
    message["content"]["text"].as_str().unwrap()
}

#[tokio::test]
async fn the_list_says_what_each_prompt_takes() {
    for era in ERAS {
        let mut person = before(era).await;
        let listed = person.asks("prompts/list", json!({})).await;
        let listed = listed["result"]["prompts"].as_array().unwrap();
        let brief = listed.iter().map(|prompt| {
            let arguments = prompt["arguments"].as_array().into_iter().flatten();
            let arguments = arguments.map(|argument| {
                let must = if argument["required"] == true {
                    "!"
                } else {
                    ""
                };
                format!("{}{must}", argument["name"].as_str().unwrap())
            });
            let arguments: Vec<_> = arguments.collect();
            format!(
                "{}: {}",
                prompt["name"].as_str().unwrap(),
                arguments.join(" ")
            )
        });
        let brief: Vec<_> = brief.collect();
        assert_eq!(
            brief,
            [
                "onboard_team: usernames! team image wishes",
                "most_memory: ",
                "clean_up_idle: days"
            ],
            "{era:?}"
        );
    }
}

#[tokio::test]
async fn each_prompt_is_a_message_with_its_arguments_or_what_stands_for_them() {
    let team = json!({"usernames": "ada, ben", "team": "red", "image": "local:debian/12",
                      "wishes": "8GB each"});
    for era in ERAS {
        let mut person = before(era).await;
        for (name, arguments, says) in [
            (
                "onboard_team",
                Some(team.clone()),
                "users: ada, ben. Wishes: 8GB each. Team (as the label `team`, where there is one): \
                 red. Image (the default where there is none): local:debian/12.",
            ),
            (
                "onboard_team",
                Some(json!({"usernames": "ada", "team": " ", "image": ""})),
                "users: ada. Wishes: standard settings. Team (as the label `team`, where there is \
                 one): none. Image (the default where there is none): none.",
            ),
            ("most_memory", None, "Change nothing."),
            ("most_memory", Some(json!({})), "Change nothing."),
            ("clean_up_idle", None, "have used for 14 days"),
            (
                "clean_up_idle",
                Some(json!({"days": "30"})),
                "have used for 30 days",
            ),
        ] {
            let got = got(&mut person, name, arguments).await;
            assert!(text(&got).contains(says), "{era:?} {name}: {}", text(&got));
        }
    }
}

#[tokio::test]
async fn what_is_written_into_an_argument_stays_as_it_is() {
    let mut person = before(Era::Metadata).await;
    let arguments = json!({"usernames": "{wishes} {team}", "wishes": "{image}", "image": "{days}"});
    let got = got(&mut person, "onboard_team", Some(arguments)).await;
    let wanted = "users: {wishes} {team}. Wishes: {image}. ";
    assert!(text(&got).contains(wanted), "{}", text(&got));
}

#[tokio::test]
async fn what_is_missing_unknown_or_no_text_is_refused_by_name() {
    for era in ERAS {
        let mut person = before(era).await;
        for (name, arguments, says) in [
            ("onboard_team", None, "onboard_team needs `usernames`: "),
            (
                "onboard_team",
                Some(json!({"usernames": " "})),
                "onboard_team needs `usernames`: ",
            ),
            (
                "clean_up_idle",
                Some(json!({"Days": "3"})),
                "clean_up_idle has no argument `Days`",
            ),
            (
                "clean_up_idle",
                Some(json!({"days": 3})),
                "`days` of clean_up_idle is text",
            ),
            (
                "most_memory",
                Some(json!({"x": "y"})),
                "most_memory has no argument `x`",
            ),
            (
                "other",
                None,
                "there is no such prompt; the prompts are onboard_team, most_memory, clean_up_idle",
            ),
        ] {
            let got = got(&mut person, name, arguments).await;
            assert_eq!(got["error"]["code"], -32602, "{era:?} {name}: {got}");
            let said = got["error"]["message"].as_str().unwrap();
            assert!(said.starts_with(says), "{era:?}: {said}");
        }
    }
}
