//! `keybroker healthcheck`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use http_body_util::Empty;
use hyper::{Request, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

use super::Failure;
use crate::config::address;

/// Exit with 0 if the server on this machine is ready: for a container without a shell.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// The server's address, as `serve` has it.
    #[arg(long, env = "KEYBROKER_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
}

impl Healthcheck {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let address = reachable(self.listen);
        let status = timeout(Duration::from_secs(5), status(address)).await;
        let status = status.context("no answer within 5 seconds").and_then(|status| status);
        let status =
            status.with_context(|| format!("{address} does not answer; is the server running there?"))?;
        if status.is_success() {
            return Ok(());
        }
        Err(anyhow::anyhow!("the server on {address} is not ready; http://{address}/readyz says what is not")
            .into())
    }
}

/// A server that listens on every address is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

async fn status(address: SocketAddr) -> anyhow::Result<hyper::StatusCode> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/readyz").header(HOST, address.to_string()).body(Empty::<Bytes>::new())?;
    let answer = async move {
        // The sender goes with this block, which ends the connection.
        let response = sender.send_request(request).await?;
        anyhow::Ok(response.status())
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
}
