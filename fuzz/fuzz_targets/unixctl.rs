//! The control socket, octets in: requests are answered in their order, nothing else is, and a
//! client that was cut off does not keep others out.
#![no_main]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use mio::{Events, Poll};
use ovsdb::Framer;
use ovsdb::jsonrpc::{self, Message};
use runtime::log;
use runtime::unixctl::{Commands, Reply, Server};

struct Rig {
    poll: Poll,
    server: Server<()>,
}

impl Rig {
    fn new() -> Rig {
        log::console_off();
        let path = std::env::temp_dir().join(format!("braid-fuzz-{}.ctl", std::process::id()));
        let mut commands = Commands::new();
        commands.register("echo", "[arg]...", 0, 3, |(), r| Reply::Text(r.args.join("|")));
        commands.register("later", "", 0, 0, |(), r| r.defer().1);
        let poll = Poll::new().expect("a poll");
        let server = Server::bind(&path, poll.registry(), 0..4, commands, Arc::new(|| {}));
        Rig { poll, server: server.expect("a socket") }
    }

    fn turn(&mut self) {
        let mut events = Events::with_capacity(16);
        self.poll.poll(&mut events, Some(Duration::ZERO)).expect("poll");
        for event in &events {
            self.server.handle_event(&mut (), self.poll.registry(), event.token());
        }
        self.server.run(&mut (), self.poll.registry());
    }

    /// Sends a stream; gives all that comes back.
    fn ask(&mut self, stream: &[u8]) -> Vec<u8> {
        let mut client = UnixStream::connect(self.server.path()).expect("connected");
        client.set_nonblocking(true).expect("non-blocking");
        let (mut sent, mut got, mut idle) = (0, Vec::new(), 0);
        while idle < 3 {
            let before = (sent, got.len());
            if sent < stream.len() {
                match client.write(&stream[sent..]) {
                    Ok(n) => sent += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                    // Cut off.
                    Err(_) => sent = stream.len(),
                }
            }
            self.turn();
            let mut buf = [0; 4096];
            while let Ok(n @ 1..) = client.read(&mut buf) {
                got.extend_from_slice(&buf[..n]);
            }
            idle = if before == (sent, got.len()) { idle + 1 } else { 0 };
        }
        drop(client);
        self.turn();
        got
    }
}

/// The identifiers of the requests at the beginning of a stream, up to what is no request.
fn requests(stream: &[u8]) -> Vec<String> {
    let (mut framer, mut ids) = (Framer::default(), Vec::new());
    framer.push(stream);
    while let Ok(Some(message)) = framer.next_message() {
        let Ok(Message::Request { id, params, .. }) = jsonrpc::parse(message) else { break };
        if serde_json::from_str::<Vec<serde_json::Value>>(params.get()).is_err() {
            break;
        }
        ids.push(id.get().to_owned());
    }
    ids
}

thread_local! {
    static RIG: std::cell::RefCell<Rig> = std::cell::RefCell::new(Rig::new());
}

fuzz_target!(|stream: &[u8]| {
    RIG.with_borrow_mut(|rig| {
        let answers = rig.ask(stream);
        let mut framer = Framer::default();
        framer.push(&answers);
        let mut answered = Vec::new();
        while let Some(message) = framer.next_message().expect("our framing") {
            match jsonrpc::parse(message).expect("our messages") {
                Message::Response { id, .. } => answered.push(id.get().to_owned()),
                Message::Request { .. } | Message::Notification { .. } => panic!("not an answer"),
            }
        }
        assert_eq!(answered, requests(stream));
        let alive = rig.ask(br#"{"id":0,"method":"echo","params":["a","b"]}"#);
        assert!(alive.windows(4).any(|w| w == b"a|b\\"), "{}", String::from_utf8_lossy(&alive));
    });
});
