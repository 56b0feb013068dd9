//! `/mcp`: the tools of `mcp-server`, mounted beside the daemon's API. What they are is the MCP
//! crate's.

use containarium_client::{Client, Token};
use containarium_contract::Face;
use containarium_daemon::Daemon;
use containarium_mcp::{Endpoint, Names};

const PATH: &str = "/mcp";

/// The same daemon with the tools at `/mcp`, for whoever calls it by one of `hosts`, by an address,
/// or by this machine's own name.
pub(crate) fn mounted(daemon: Daemon, mut hosts: Vec<String>) -> Daemon {
    hosts.extend(
        rustix::system::uname()
            .nodename()
            .to_str()
            .map(str::to_owned),
    );
    let names = Names { hosts };
    daemon.beside(PATH, |api, ended| {
        // Each request brings its own token.
        let nobody = Client::within(api, Token::fixed(""), Face::Mcp);
        let tools = Endpoint::of_tools(nobody, &names, ended);
        move |owner, request| {
            let tools = tools.clone();
            async move { tools.answer(owner.as_str(), request).await }
        }
    })
}
