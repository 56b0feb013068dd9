//! `/mcp`: the tools of `mcp-server`, mounted beside the daemon's API. What they are is the MCP
//! crate's.

use containarium_client::{Client, Token};
use containarium_contract::Face;
use containarium_daemon::Daemon;
use containarium_mcp::Endpoint;

const PATH: &str = "/mcp";

/// A host's name as it stands in `Host`, without a port.
pub(crate) fn host(text: &str) -> Result<String, String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if text.is_empty() || !text.chars().all(is_name) {
        return Err("write a host's name alone, such as containers.example.com".to_owned());
    }
    Ok(text.to_owned())
}

/// The same daemon with the tools at `/mcp`, for whoever calls it by one of `hosts`, by an address,
/// or by this machine's own name.
pub(crate) fn mounted(daemon: Daemon, mut hosts: Vec<String>) -> Daemon {
    hosts.extend(
        rustix::system::uname()
            .nodename()
            .to_str()
            .map(str::to_owned),
    );
    daemon.beside(PATH, |api, ended| {
        // Each request brings its own token.
        let nobody = Client::within(api, Token::fixed(""), Face::Mcp);
        let tools = Endpoint::of_tools(nobody, &hosts, ended);
        move |owner, request| {
            let tools = tools.clone();
            async move { tools.answer(owner.as_str(), request).await }
        }
    })
}
