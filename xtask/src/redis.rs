//! A Redis for tests and load runs: in memory only.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::{Demand, Interrupt};
use crate::server::{Recipe, Server};

const DEMANDS: &[Demand] = &[("INT", Duration::from_secs(10))];

pub fn start(folder: &Path, interrupt: &Interrupt) -> Result<Server> {
    let command = |port: u16| {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args(["--save", "", "--appendonly", "no", "--dir"])
            .arg(folder)
            .current_dir(folder);
        command
    };
    let log = folder.join("redis.log");
    let answers = |port| pongs(port).unwrap_or(false);
    Server::start(
        &Recipe { name: "Redis", log: &log, command: &command, answers: &answers, demands: DEMANDS },
        interrupt,
    )
}

fn pongs(port: u16) -> std::io::Result<bool> {
    let limit = Duration::from_secs(1);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG\r\n")
}
