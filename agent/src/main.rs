//! `sluice-agent`: the node agent. Everything is in the library; see its `cli` module.

use std::process::ExitCode;

/// glibc's allocator keeps what a burst of requests once needed; jemalloc gives it back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    sluice_agent::cli::main()
}
