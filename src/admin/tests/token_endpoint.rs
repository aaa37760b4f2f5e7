//! A token endpoint that responds as a test says.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::Notify,
    task::JoinHandle,
};

/// The response to every token request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TokenResponse {
    #[default]
    Token,
    /// A token with a refresh token.
    Login,
    /// A token with a refresh token, once the test releases it.
    HeldLogin,
    InvalidClient,
    Unavailable,
}

#[derive(Default)]
struct State {
    token_response: TokenResponse,
    requests: u64,
    last: String,
    release: Arc<Notify>,
}

pub(super) struct TokenEndpoint {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl TokenEndpoint {
    pub(super) async fn start(token_response: TokenResponse) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            token_response,
            ..State::default()
        }));
        let task = tokio::spawn(serve(listener, state.clone()));
        Self {
            address,
            state,
            task,
        }
    }

    pub(super) fn respond_with(&self, token_response: TokenResponse) {
        self.state.lock().unwrap().token_response = token_response;
    }

    /// Lets one response go that is held.
    pub(super) fn let_go(&self) {
        self.state.lock().unwrap().release.notify_one();
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> u64 {
        self.state.lock().unwrap().requests
    }

    /// The head and body of the last one.
    pub(super) fn last_request(&self) -> String {
        self.state.lock().unwrap().last.clone()
    }
}

impl Drop for TokenEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        // A request with its form is smaller than a segment of loopback; the head's end is waited for all the same.
        let mut request = Vec::new();
        while !is_whole(&request) {
            if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                break;
            }
        }
        let (token_response, release) = {
            let mut state = state.lock().unwrap();
            state.requests += 1;
            state.last = String::from_utf8_lossy(&request).into_owned();
            (state.token_response, state.release.clone())
        };
        if token_response == TokenResponse::HeldLogin {
            release.notified().await;
        }
        let (status, body) = match token_response {
            TokenResponse::Token => (
                "200 OK",
                r#"{"access_token":"canary-token","token_type":"Bearer","expires_in":300}"#,
            ),
            TokenResponse::Login | TokenResponse::HeldLogin => (
                "200 OK",
                r#"{"access_token":"canary-token","token_type":"Bearer","expires_in":300,"refresh_token":"canary-refresh"}"#,
            ),
            TokenResponse::InvalidClient => ("401 Unauthorized", r#"{"error":"invalid_client"}"#),
            TokenResponse::Unavailable => ("503 Service Unavailable", "<html>canary-page</html>"),
        };
        let response = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        // A client that has gone does not get the response.
        let _ = stream.write_all(response.as_bytes()).await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut fields);
    let Ok(httparse::Status::Complete(end)) = head.parse(request) else {
        return false;
    };
    let length = head
        .headers
        .iter()
        .find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length
        .and_then(|field| std::str::from_utf8(field.value).ok()?.parse().ok())
        .unwrap_or(0);
    request.len() >= end + length
}
