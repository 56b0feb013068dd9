//! Prompts: what teams ask for again and again, as a person picks it from a menu.

use rmcp::{
    ErrorData,
    model::{GetPromptResult, JsonObject, Prompt, PromptArgument, PromptMessage, Role},
};
use serde_json::Value;

/// A prompt, and the arguments that its text has in braces.
struct Written {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    arguments: &'static [(&'static str, &'static str, Option<&'static str>)],
    text: &'static str,
}

const ALL: &[Written] = &[
    Written {
        name: "onboard_team",
        title: "Onboard a team",
        about: "A container for each member of a team, and what to tell them.",
        arguments: &[
            ("usernames", "Who, such as: alice, bob, charlie", None),
            ("team", "The team's name, kept as a label", Some("")),
            (
                "image",
                "What to make them from (default: the server's default image)",
                Some(""),
            ),
            (
                "wishes",
                "Sizes and other wishes, such as: alice needs 8GB memory",
                Some("standard settings"),
            ),
        ],
        text: "Create a container for each of these users: {usernames}. Wishes: {wishes}. Team (as the label \
`team`, where there is one): {team}. Image (the default where there is none): {image}.\n\nFirst call \
get_system_info and list_containers, and say so before anything is made if a username is taken or the host \
has too little memory or disk. Ask for the SSH public keys that are missing; never for private ones. Then \
call create_container once for each. At the end give a table with each user's name, limits and \
`sshCommandRemote`, and every `message` that says something was done otherwise than asked.",
    },
    Written {
        name: "most_memory",
        title: "Who uses the most memory",
        about: "What all containers use, the largest first.",
        arguments: &[],
        text: "Call get_metrics without a username, and list_containers for the limits. Show a table of what the \
containers use of memory, CPU time and disk, the largest use of memory first, each with its share of its own \
limit. Say which one uses the most memory, and name those above 90 % of their limit. Change nothing.",
    },
    Written {
        name: "clean_up_idle",
        title: "Clean up idle containers",
        about: "Find containers that nobody seems to use, and propose what to do.",
        arguments: &[("days", "Idle for at least so many days", Some("14"))],
        text: "Find containers that nobody seems to have used for {days} days: stopped ones by `lastExit` and \
`updatedAt`, running ones whose CPU time in get_metrics grows by almost nothing between two calls. Show them \
with owner, age, size and why they seem idle. Propose for each: leave it, stop_container (keeps everything), \
or delete_container (can be brought back for a while). Do nothing before the user has agreed to each by \
name, and never purge.",
    },
];

/// The prompts.
pub(crate) fn list() -> Vec<Prompt> {
    let prompt = |written: &Written| {
        let arguments = written.arguments.iter().map(|(name, about, default)| {
            PromptArgument::new(*name)
                .with_description(*about)
                .with_required(default.is_none())
        });
        Prompt::new(written.name, Some(written.about), Some(arguments.collect()))
            .with_title(written.title)
    };
    ALL.iter().map(prompt).collect()
}

/// The prompt of that name with its arguments filled in.
pub(crate) fn get(name: &str, given: &JsonObject) -> Result<GetPromptResult, ErrorData> {
    let invalid = |sentence: String| ErrorData::invalid_params(sentence, None);
    let Some(written) = ALL.iter().find(|written| written.name == name) else {
        let names: Vec<_> = ALL.iter().map(|written| written.name).collect();
        return Err(invalid(format!(
            "there is no such prompt; the prompts are {}",
            names.join(", ")
        )));
    };
    let is_known = |key: &str| written.arguments.iter().any(|(name, ..)| *name == key);
    if let Some(unknown) = given.keys().find(|key| !is_known(key)) {
        let unknown: String = unknown.chars().take(80).collect();
        return Err(invalid(format!(
            "{name} has no argument `{}`",
            unknown.escape_debug()
        )));
    }
    let mut values = Vec::new();
    for (argument, about, default) in written.arguments {
        let value = match given.get(*argument) {
            None | Some(Value::Null) => "",
            Some(Value::String(text)) => text.trim(),
            Some(_) => return Err(invalid(format!("`{argument}` of {name} is text: {about}"))),
        };
        let value = Some(value).filter(|value| !value.is_empty()).or(*default);
        let Some(value) = value else {
            return Err(invalid(format!("{name} needs `{argument}`: {about}")));
        };
        let value = if value.is_empty() { "none" } else { value };
        values.push((*argument, value));
    }
    let message = PromptMessage::new_text(Role::User, filled(written.text, &values));
    Ok(GetPromptResult::new(vec![message]).with_description(written.about))
}

/// The text with the value in place of each argument in braces; what a person wrote may have braces of
/// its own.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (argument, rest) = part.split_once('}').unwrap_or((part, ""));
        let value = values.iter().find(|(name, _)| *name == argument);
        filled.push_str(value.map_or("", |(_, value)| value));
        filled.push_str(rest);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(name: &str, given: Value) -> Result<String, String> {
        let Value::Object(given) = given else {
            panic!()
        };
        let result = get(name, &given).map_err(|e| e.message.to_string())?;
        Ok(serde_json::to_value(result).unwrap().to_string())
    }

    #[test]
    fn every_argument_reaches_the_text_and_nothing_is_left_open() {
        let given = json!({"usernames": "ada, ben", "team": "red", "image": "local:debian/12", "wishes": "8GB"});
        let filled = text("onboard_team", given).unwrap();
        for word in ["ada, ben", "red", "local:debian/12", "8GB"] {
            assert!(filled.contains(word), "{word}");
        }
        assert!(
            text("clean_up_idle", json!({"days": "30"}))
                .unwrap()
                .contains("for 30 days")
        );
        for written in ALL {
            let given = json!({"usernames": "ada"});
            let given = if written.arguments.is_empty() || written.name == "clean_up_idle" {
                json!({})
            } else {
                given
            };
            let text = text(written.name, given).unwrap();
            for (argument, ..) in written.arguments {
                assert!(!text.contains(&format!("{{{argument}}}")), "{text}");
            }
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        assert!(
            text("onboard_team", json!({}))
                .unwrap_err()
                .contains("needs `usernames`")
        );
        assert!(
            text("most_memory", json!({"x": "y"}))
                .unwrap_err()
                .contains("no argument `x`")
        );
        assert!(
            text("other", json!({}))
                .unwrap_err()
                .contains("onboard_team")
        );
    }
}
