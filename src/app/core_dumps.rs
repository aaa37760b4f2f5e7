//! Disables core dumps and ptrace, so that no other process reads secrets from the memory.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Disables core dumps, and debuggers of the same user.
///
/// The resource limit is not enough: where dumps go to a program (core(5)), the kernel ignores it.
///
/// # Errors
/// The system refuses.
pub fn disable_core_dumps() -> io::Result<()> {
    setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    )?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}
