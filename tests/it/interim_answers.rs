//! Interim answers (1xx) reach their caller once and whole, however slowly it takes them.

use std::{os::unix::net::UnixStream, thread};

use crate::support::{
    client::A_WHILE,
    patience::PATIENCE,
    setup::Setup,
    token_endpoint::TokenEndpoint,
    upstream::Upstream,
    wire::{Wire, ok},
};

fn early_hints(number: usize) -> String {
    let fields: String = (0..4)
        .map(|field| format!("x-{field}: {}\r\n", "x".repeat(15_000)))
        .collect();
    format!("HTTP/1.1 103 Early Hints\r\nx-number: {number}\r\n{fields}\r\n")
}

#[test]
fn a_caller_that_reads_late_gets_each_interim_answer_once() {
    let tokens = TokenEndpoint::issuing("token-1");
    let upstream = Upstream::answering(|_| {
        let hints: String = (0..32).map(early_hints).collect();
        [hints.as_bytes(), &ok("final")].concat()
    });
    let setup = Setup::new(&tokens, upstream.origin());
    // A socket whose memory is small and is not made larger on the way.
    let path = setup.file("marker", "").with_file_name("sidecar.sock");
    let lines = format!("listen = \"unix:{}\"\nprovider = \"api\"", path.display());
    let route = format!(
        "[routes.socket]\nupstream = \"{}\"\n{lines}",
        upstream.origin()
    );
    let _sidecar = setup.tables(&route).start_ready();

    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut wire = Wire::new(stream);
    for _ in 0..2 {
        wire.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .unwrap();
        thread::sleep(A_WHILE);
        let answer = wire.answer("GET").unwrap();
        let wanted: Vec<String> = (0..32).map(early_hints).collect();
        let got: Vec<_> = answer
            .interim
            .iter()
            .map(|head| String::from_utf8_lossy(&head.raw))
            .collect();
        let numbers: Vec<_> = answer
            .interim
            .iter()
            .map(|head| head.values("x-number").join("+"))
            .collect();
        assert!(got == wanted, "the interim answers {numbers:?} came");
        assert_eq!((answer.status, answer.text().as_str()), (200, "final"));
    }
}
