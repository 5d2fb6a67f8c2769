//! Sockets and connections of the HTTP server, with the limits that a listener open to a network needs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind as bind_socket, ipproto, listen, socket_with,
    sockopt,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};

/// Longest time a client may take to send its request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most connections at once; others wait in the accept queue.
const CONNECTIONS_MAX: usize = 128;
const BACKLOG: i32 = 128;
/// Longest time that requests may take to end once the server is to stop: a client that holds one open must not hold
/// up the daemon.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Opens the listening sockets of `/metrics`; see [`bind_for`].
///
/// # Errors
/// As [`bind_for`].
pub fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    bind_for(addresses, "/metrics", "--listen")
}

/// Opens the listening sockets of what `serves` says, as configured by `flag`. `[::]` serves IPv4 as well; where the
/// host has no IPv6, `0.0.0.0` stands in.
///
/// # Errors
/// Names the address, and what to do when another program has it.
pub fn bind_for(
    addresses: &[SocketAddr],
    serves: &str,
    flag: &str,
) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        let listener = open(*address)
            .or_else(|error| match without_ipv6(*address, &error) {
                Some(v4) => {
                    tracing::info!(%address, instead = %v4, "this host has no IPv6");
                    open(v4)
                }
                None => Err(error),
            })
            .map_err(|error| explain(*address, flag, error))?;
        tracing::info!(address = %listener.local_addr()?, "serving {serves}");
        listeners.push(listener);
    }
    Ok(listeners)
}

/// Serves until `stop` is ready; then ends idle connections, lets requests finish if they do so soon, and returns.
///
/// # Errors
/// When a listening socket fails for good.
pub async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut accepting = JoinSet::new();
    let (accepted, mut incoming) = tokio::sync::mpsc::channel(1);
    for listener in listeners {
        let (room, accepted) = (Arc::clone(&room), accepted.clone());
        accepting.spawn(async move {
            loop {
                let permit = Arc::clone(&room).acquire_owned().await?;
                let stream = accept(&listener).await?;
                if accepted.send((stream, permit)).await.is_err() {
                    return anyhow::Ok(());
                }
            }
        });
    }
    tokio::pin!(stop);
    loop {
        tokio::select! {
            Some((stream, permit)) = incoming.recv() => {
                connections.spawn(connection(stream, permit, router.clone(), &graceful));
            }
            Some(ended) = accepting.join_next() => ended??,
            Some(_ended) = connections.join_next() => {}
            () = &mut stop => break,
        }
    }
    accepting.shutdown().await;
    if timeout(STOP_PATIENCE, graceful.shutdown()).await.is_err() {
        tracing::debug!(
            connections = connections.len(),
            "ended connections with unfinished requests"
        );
    }
    connections.shutdown().await;
    Ok(())
}

/// Waits out what is temporary: a client that is gone already, no descriptor left.
async fn accept(listener: &TcpListener) -> anyhow::Result<TcpStream> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return Ok(stream),
            Err(error) => {
                let fatal = matches!(
                    error.raw_os_error(),
                    Some(libc::EBADF | libc::EINVAL | libc::ENOTSOCK)
                );
                if fatal {
                    return Err(error).context("cannot accept connections");
                }
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn connection(
    stream: TcpStream,
    permit: OwnedSemaphorePermit,
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let watched = graceful.watch(connection);
    async move {
        if let Err(error) = watched.await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(permit);
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    if address.is_ipv6() {
        // The sysctl net.ipv6.bindv6only must not decide who reaches /metrics.
        sockopt::set_ipv6_v6only(&socket, !address.ip().is_unspecified())?;
    }
    // A restart must not wait for the TIME_WAITs of the daemon before.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind_socket(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    TcpListener::from_std(std::net::TcpListener::from(socket))
}

fn without_ipv6(address: SocketAddr, error: &io::Error) -> Option<SocketAddr> {
    let absent = matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    );
    (absent && address.is_ipv6() && address.ip().is_unspecified())
        .then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
}

fn explain(address: SocketAddr, flag: &str, error: io::Error) -> anyhow::Error {
    let remedy = match error.raw_os_error() {
        Some(libc::EADDRINUSE) => format!(
            "; another program (or another finwatch) has the port: find it with `ss -ltnp sport = :{}`, or \
             choose another with {flag}",
            address.port()
        ),
        Some(libc::EACCES) => {
            "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE".to_owned()
        }
        Some(libc::EADDRNOTAVAIL) => "; this host has no such address".to_owned(),
        _ => String::new(),
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}{remedy}"))
}
