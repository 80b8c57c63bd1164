//! The state shared by all handlers.

use std::sync::Arc;

use chat::Chat;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::assets::Files;
use crate::config::Config;
use crate::flash::Flash;
use crate::hosts::Hosts;
use crate::limits::{Crowd, Doors};

/// Handles to everything; cheap to clone.
#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) chat: Chat,
    pub(crate) config: Arc<Config>,
    pub(crate) hosts: Hosts,
    pub(crate) doors: Arc<Doors>,
    pub(crate) crowd: Crowd,
    pub(crate) files: Files,
    pub(crate) flash: Arc<Flash>,
    pub(crate) sockets: Sockets,
}

/// Where WebSockets live.
#[derive(Clone)]
pub(crate) struct Sockets {
    /// The threads of the chat: see `front`.
    pub(crate) threads: Handle,
    /// The open ones, which the server waits for when it stops.
    pub(crate) running: TaskTracker,
}

impl AppState {
    pub(crate) fn new(chat: Chat, config: Config, sockets: Sockets) -> Self {
        let doors = Arc::new(Doors::new(config.limits));
        let crowd = Crowd::new(config.limits);
        let files = Files::new(config.site.as_deref());
        let hosts = Hosts::new(config.public_origin.clone(), &config.also_hosts);
        Self {
            chat,
            crowd,
            config: Arc::new(config),
            hosts,
            doors,
            files,
            flash: Arc::new(Flash::new()),
            sockets,
        }
    }
}
