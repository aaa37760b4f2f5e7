//! The sidecar as a process: its lives, how they end, and what it holds meanwhile.

use std::{
    fs, io,
    net::SocketAddr,
    process::{Child, ExitStatus},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{home::Home, timeline::Event, world::World};

/// The longest wait for a process to serve, or to end: its drain, and the patience that a busy machine needs.
const PATIENCE: Duration = Duration::from_secs(90);

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// SIGTERM.
    Stop,
    /// SIGKILL.
    Kill,
}

/// What a process holds at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

/// One life of the sidecar.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) ended: Option<(End, Duration)>,
    /// One a second.
    pub(crate) samples: Vec<Sample>,
}

/// The running sidecar and all its lives.
pub(crate) struct Sidecar {
    home: Arc<Home>,
    world: Arc<World>,
    child: Child,
    lives: Arc<Mutex<Vec<Life>>>,
}

impl Sidecar {
    /// Starts the first life, and waits until it serves.
    pub(crate) async fn start(home: Arc<Home>, world: Arc<World>) -> Result<Self, String> {
        let child = home.run(0).map_err(|error| error.to_string())?;
        let lives = Arc::new(Mutex::new(vec![Life::default()]));
        let mut sidecar = Self {
            home,
            world,
            child,
            lives,
        };
        sidecar.wait_until_serving().await?;
        tokio::spawn(sample(sidecar.lives.clone(), sidecar.pid(), 0));
        Ok(sidecar)
    }

    /// Ends the process and starts its successor.
    pub(crate) async fn restart(&mut self, end: End) -> Result<(), String> {
        let event = match end {
            End::Stop => Event::Stopped,
            End::Kill => Event::Killed,
        };
        self.world.timeline.begin(event);
        self.end(end).await?;
        let number = {
            let mut lives = lock(&self.lives);
            lives.push(Life::default());
            lives.len() - 1
        };
        self.child = self.home.run(number).map_err(|error| error.to_string())?;
        self.wait_until_serving().await?;
        self.world.timeline.end(event);
        tokio::spawn(sample(self.lives.clone(), self.pid(), number));
        Ok(())
    }

    /// Ends the process, and checks how it ended.
    pub(crate) async fn end(&mut self, end: End) -> Result<(), String> {
        let since = Instant::now();
        let signal = match end {
            End::Stop => Signal::TERM,
            End::Kill => Signal::KILL,
        };
        if let Some(status) = self.status()? {
            return Err(format!("the sidecar ended by itself: {status}"));
        }
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| error.to_string())?;
        let status = loop {
            match self.status()? {
                Some(status) => break status,
                None if since.elapsed() > PATIENCE => {
                    return Err(format!("the sidecar does not end after {signal:?}"));
                }
                None => sleep(Duration::from_millis(10)).await,
            }
        };
        if end == End::Stop && !status.success() {
            return Err(format!("the sidecar ended with {status} after SIGTERM"));
        }
        if let Some(life) = lock(&self.lives).last_mut() {
            life.ended = Some((end, since.elapsed()));
        }
        Ok(())
    }

    /// Sends SIGHUP.
    pub(crate) fn hang_up(&self) -> Result<(), String> {
        kill_process(Pid::from_child(&self.child), Signal::HUP).map_err(|error| error.to_string())
    }

    /// Whether it has ended, which it must not by itself.
    pub(crate) fn status(&mut self) -> Result<Option<ExitStatus>, String> {
        self.child.try_wait().map_err(|error| error.to_string())
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    /// What it holds now.
    pub(crate) fn sample(&self) -> Option<Sample> {
        read_sample(self.pid()).ok()
    }

    pub(crate) fn lives(&self) -> Vec<Life> {
        lock(&self.lives).clone()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    async fn wait_until_serving(&mut self) -> Result<(), String> {
        let since = Instant::now();
        loop {
            if let Some((200, _)) = ask(self.home.admin, "GET /livez").await {
                return Ok(());
            }
            if let Some(status) = self.status()? {
                return Err(format!("the sidecar ended at its start: {status}"));
            }
            if since.elapsed() > PATIENCE {
                return Err("the sidecar does not serve".into());
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It has ended already where the run came to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request without a body; returns status and body, or `None` without a response.
pub(crate) async fn ask(address: SocketAddr, request_line: &str) -> Option<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!(
            "{request_line} HTTP/1.1\r\nhost: localhost:{}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            address.port()
        );
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.ok()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some((status, body.to_owned()))
    };
    timeout(PATIENCE, exchange).await.ok().flatten()
}

/// Samples a life until it ends.
async fn sample(lives: Arc<Mutex<Vec<Life>>>, pid: u32, number: usize) {
    loop {
        sleep(Duration::from_secs(1)).await;
        let sample = read_sample(pid);
        let mut lives = lock(&lives);
        let (Some(life), Ok(sample)) = (lives.get_mut(number), sample) else {
            return;
        };
        if life.ended.is_some() {
            return;
        }
        life.samples.push(sample);
    }
}

fn read_sample(pid: u32) -> io::Result<Sample> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let number = |name: &str| -> u64 {
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|line| line.split_whitespace().next());
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    Ok(Sample {
        resident_kib: number("VmRSS:"),
        threads: number("Threads:") as usize,
        descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
