//! The first thing that anybody tries.

use std::process::Command;

use crate::support::{
    patience::{PATIENCE, until},
    sidecar::{Process, command},
};

#[test]
fn the_printed_line_gives_an_answer_of_the_demo_api() {
    let mut demo = Process::spawn(&mut command(&["demo", "--port", "0"]));
    let line = until("the curl line", || {
        if let Some(status) = demo.ended() {
            panic!(
                "the demo ended with {status}:\n{}{}",
                demo.stdout(),
                demo.stderr()
            );
        }
        let written = demo.stdout();
        let (whole, _) = written.rsplit_once('\n')?;
        whole
            .lines()
            .map(str::trim)
            .find_map(|line| line.find("curl ").map(|at| line[at..].to_owned()))
    });

    let run = |line: &str| {
        let mut shell = Process::spawn(Command::new("sh").arg("-c").arg(line));
        let status = shell.wait(PATIENCE * 2);
        let (stdout, stderr) = shell.output();
        assert!(
            status.success(),
            "{line}: {status} {}",
            String::from_utf8_lossy(&stderr)
        );
        String::from_utf8(stdout).expect("text")
    };
    let body = run(&line);
    // The line may ask for the head of the answer as well.
    let json = body
        .find(['{', '['])
        .map(|at| &body[at..])
        .unwrap_or_default();
    let answer: serde_json::Value =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert!(answer.is_object() || answer.is_array(), "{answer}");
    assert_eq!(
        run(&format!("{line} -s -o /dev/null -w '%{{http_code}}'")).trim(),
        "200"
    );

    demo.signal(rustix::process::Signal::INT);
    assert_eq!(demo.wait(PATIENCE).code(), Some(0));
}

#[test]
fn the_port_may_be_chosen() {
    let port = crate::support::ports::unused().port();
    let demo = Process::spawn(&mut command(&["demo", "--port", &port.to_string()]));
    until("the port in the curl line", || {
        let written = demo.stdout();
        written
            .lines()
            .any(|line| line.contains("curl ") && line.contains(&format!(":{port}")))
            .then_some(())
    });
}
