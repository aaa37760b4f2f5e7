// Ends a peer with the test that started it: at SIGTERM or SIGINT, and when standard input closes.

/** Closes `server` and ends the process with status 0 as soon as one of these comes. */
export function endWithParent(server) {
  let ending = false;
  const end = () => {
    if (ending) return;
    ending = true;
    server.close(() => process.exit(0));
    // Callers keep connections alive; nobody waits for those.
    server.closeAllConnections();
    // A server that never came to listen calls nobody back.
    setTimeout(() => process.exit(0), 1000).unref();
  };
  process.once("SIGTERM", end);
  process.once("SIGINT", end);
  process.stdin.on("end", end).on("close", end).on("error", end).resume();
}
