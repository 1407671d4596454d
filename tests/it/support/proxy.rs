//! A proxy between a server and its PostgreSQL or Redis, which can be told to misbehave.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the proxy does from now on, to open connections and new ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Connections are cut, and new ones refused at once.
    Cut,
    /// Bytes pass this much later.
    Delay(Duration),
    /// Bytes are swallowed while connections stay open: a half-open peer. What has lost some is cut once this ends,
    /// as by a peer that is back and knows nothing of it.
    Drop,
}

pub struct Proxy {
    pub address: SocketAddr,
    fault: Arc<Mutex<watch::Sender<Fault>>>,
    /// What still holds connections that are lost.
    lost: Mutex<Vec<watch::Sender<Fault>>>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Stands before the host and port of `url`.
    pub async fn before(url: &str) -> Self {
        Self::at(([127, 0, 0, 1], 0).into(), url).await
    }

    /// The same at an address.
    pub async fn at(address: SocketAddr, url: &str) -> Self {
        let url: url::Url = url.parse().unwrap();
        let target = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let fault = Arc::new(Mutex::new(watch::channel(Fault::None).0));
        let present = fault.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let faults = present.lock().unwrap().subscribe();
                if *faults.borrow() == Fault::Cut {
                    continue;
                }
                tokio::spawn(carry(client, target.clone(), faults));
            }
        });
        Self { address, fault, lost: Mutex::default(), accepting }
    }

    /// `url` with the proxy in the place of its host and port.
    pub fn instead_of(&self, url: &str) -> String {
        let mut url: url::Url = url.parse().unwrap();
        url.set_host(Some(&self.address.ip().to_string())).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.to_string()
    }

    pub fn set(&self, fault: Fault) {
        self.fault.lock().unwrap().send_replace(fault);
    }

    /// Swallows for ever what goes over the connections that are open; new ones are good.
    pub fn lose_those_open(&self) {
        let lost = std::mem::replace(&mut *self.fault.lock().unwrap(), watch::channel(Fault::None).0);
        lost.send_replace(Fault::Drop);
        self.lost.lock().unwrap().push(lost);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Fault::Cut);
    }
}

async fn carry(client: TcpStream, target: String, mut faults: watch::Receiver<Fault>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, faults.clone()) => {}
        () = copy(from_server, to_client, faults.clone()) => {}
        _ = faults.wait_for(|fault| *fault == Fault::Cut) => {}
    }
}

async fn copy(mut from: tcp::OwnedReadHalf, mut to: tcp::OwnedWriteHalf, mut faults: watch::Receiver<Fault>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let fault = *faults.borrow();
        match fault {
            Fault::Drop => {
                let _ = faults.wait_for(|fault| *fault != Fault::Drop).await;
                return;
            }
            Fault::Delay(time) => tokio::time::sleep(time).await,
            Fault::None | Fault::Cut => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
