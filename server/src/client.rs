//! Where a request came from: its address, and what its browser keeps of earlier logins.

use std::net::{IpAddr, SocketAddr};

use app::login::ClientAddress;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use ipnet::IpNet;

use crate::state::AppState;

/// Puts the [`ClientAddress`] into the request's extensions.
pub(crate) async fn find(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = behind(&state.config.trusted_proxies, peer.ip(), request.headers());
        request.extensions_mut().insert(ClientAddress(address));
    }
    next.run(request).await
}

/// The right-most hop that is not one of our proxies: everything left of it can be made up by the client.
fn behind(proxies: &[IpNet], peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let is_ours = |address: &IpAddr| proxies.iter().any(|net| net.contains(address));
    let mut address = peer.to_canonical();
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        if !is_ours(&address) {
            break;
        }
        match hop.parse::<IpAddr>() {
            Ok(hop) => address = hop.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let proxies: Vec<IpNet> = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        behind(&proxies, peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        assert_eq!(client(&[], "127.0.0.1", &["203.0.113.7"]), "127.0.0.1", "no proxy is trusted by default");
        let own = ["127.0.0.1/32"];
        assert_eq!(client(&own, "203.0.113.9", &["203.0.113.7"]), "203.0.113.9", "a stranger's header");
        assert_eq!(client(&own, "127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(client(&own, "::ffff:127.0.0.1", &["203.0.113.7"]), "203.0.113.7", "IPv4 in IPv6");
    }

    #[test]
    fn the_right_most_hop_that_is_not_ours_counts() {
        let own = ["127.0.0.1/32", "10.0.0.0/8"];
        assert_eq!(client(&own, "127.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]), "203.0.113.7");
        assert_eq!(client(&own, "127.0.0.1", &["1.1.1.1", "203.0.113.7"]), "203.0.113.7", "two headers");
        assert_eq!(
            client(&own, "127.0.0.1", &["203.0.113.7, nonsense"]),
            "127.0.0.1",
            "stop at what is no address"
        );
    }
}
