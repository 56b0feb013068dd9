//! What `packaging/` says of the MCP server, held against what there is. Whether the files have the
//! form that others ask for is `scripts/test-mcpb`'s to say, which needs Node.

use std::{fs, path::Path};

use serde_json::Value;

fn read(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn names(of: &Value) -> Vec<&str> {
    let all = of.as_array().unwrap().iter();
    all.map(|one| one["name"].as_str().unwrap()).collect()
}

#[test]
fn the_bundle_lists_the_tools_that_there_are() {
    let (manifest, tools) = (
        read("packaging/mcpb/manifest.json"),
        read("docs/tools.json"),
    );
    assert_eq!(names(&manifest["tools"]), names(&tools));
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    let config = &manifest["server"]["mcp_config"];
    assert_eq!(config["command"], "${__dirname}/server/mcp-server");
    for (variable, value) in config["env"].as_object().unwrap() {
        let field = value
            .as_str()
            .and_then(|value| value.strip_prefix("${user_config.")?.strip_suffix('}'));
        let field = &manifest["user_config"][field.unwrap()];
        assert!(field.is_object(), "{variable}");
        // One that nobody fills in would stand there as it is written.
        let is_filled = field["required"] == true || field["default"].is_string();
        assert!(is_filled, "{variable}");
    }
}

#[test]
fn the_registry_is_told_of_this_version_and_of_the_same_variables() {
    let (server, manifest) = (
        read("packaging/mcp/server.json"),
        read("packaging/mcpb/manifest.json"),
    );
    let package = &server["packages"][0];
    for version in [&server["version"], &package["version"]] {
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }
    let at = package["identifier"].as_str().unwrap();
    assert!(
        at.ends_with(concat!(
            "/v",
            env!("CARGO_PKG_VERSION"),
            "/containarium.mcpb"
        )),
        "{at}"
    );
    // scripts/build-mcpb fills it in.
    assert_eq!(package["fileSha256"], "0".repeat(64));
    // What the registry's own schema allows.
    assert!(server["description"].as_str().unwrap().len() <= 100);
    let told = names(&package["environmentVariables"]);
    let env = manifest["server"]["mcp_config"]["env"].as_object().unwrap();
    assert_eq!(told.len(), env.len());
    for name in told {
        assert!(env.contains_key(name), "{name}");
    }
}
