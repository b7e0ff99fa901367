//! The `keybroker` program. See the library's documentation for how it is built.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keybroker::cli::main()
}
