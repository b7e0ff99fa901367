//! The `keybroker` program. See the library's documentation for how it is built.

use std::{
    ffi::{c_int, c_long},
    process::ExitCode,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    keep_large_pages();
    keybroker::cli::main()
}

/// Has the allocator give free memory back to the system after ten seconds, and not after one, unless
/// `MIMALLOC_PURGE_DELAY` says otherwise.
///
/// It gives back pieces of the pages of 2 MiB in which Linux keeps its memory. The rest of those lies in pages
/// of 4 KiB from then on, and of these the processor soon has to look up more than it can remember. What is
/// free between two batches of counted reads is used again within a second or two.
fn keep_large_pages() {
    // `mi_option_purge_delay` in `mimalloc.h`, in milliseconds.
    mi_option_set_default(15, 10_000);
}

// It sets a number without a lock, which is safe before there is a second thread: so it is called first.
#[expect(unsafe_code, reason = "mimalloc's own, to which its crate has no safe way")]
unsafe extern "C" {
    safe fn mi_option_set_default(option: c_int, value: c_long);
}
